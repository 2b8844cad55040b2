"""One run of the demo: traffic, an outage, a crash, and the reconciliation at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.local.demo.display import Display, Progress
from relay.local.demo.publisher import Publisher, traffic
from relay.local.demo.reconciliation import Reconciliation, reconcile
from relay.local.demo.samples import EVENT_NAMES, SampleMessage
from relay.local.environment import Environment, Host, Plan, local_environment
from relay.local.inngest import Function, InngestServer
from relay.local.lambda_events import Function as LambdaFunction
from relay.local.orchestrators.emulator import Emulator
from relay.local.sqs import Fault

_, _ONE, _THREE = EVENT_NAMES
FUNCTIONS = (
    Function(name="transcribe", on=_ONE),
    Function(name="transcode", on=_THREE),
    Function(name="embed", on=_THREE),
    Function(name="notify", on=_THREE),
    Function(name="index-upload", on="s3/*"),
)
"""No function listens to the first event name, one to the second and three to the third."""

OUTAGE = 4.0
"""Seconds for which the orchestrator is down."""

VISIBILITY = 12
"""The visibility timeout in seconds: after it, the messages of a killed poller come back."""

REDELIVERED = 30
"""How many batch deletes leave a second copy of their messages in the queue."""

_TICK = 0.05

_MODES = {
    "sqsd": "sqsd and relay serve",
    "poller": "relay poll",
    "lambda": "the relay in AWS Lambda",
}


class ScenarioTimeout(Exception):
    """The queue was not empty in time. The text says what is left."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What the demo does. `limit` is the most seconds that it may take."""

    directory: Path
    messages: int = 2_000
    seed: int = 1
    fifo: bool = False
    host: Host = "sqsd"
    destination: str = "inngest"
    limit: float = 120.0


async def run_scenario(scenario: Scenario, display: Display) -> Reconciliation:
    """Publish, inject faults, wait until the queue is empty, and reconcile.

    Raises:
        ScenarioTimeout: the queue was not empty in time.
        RelayFailed: the relay ended unexpectedly.
    """
    plan = Plan(
        directory=scenario.directory,
        functions=FUNCTIONS,
        fifo=scenario.fifo,
        host=scenario.host,
        visibility=VISIBILITY,
        destination=scenario.destination,
    )
    async with local_environment(plan) as environment:
        orchestrator = environment.emulator or environment.inngest
        assert orchestrator is not None  # noqa: S101 - the plan names no other server
        mode = _MODES[scenario.host]
        display.say(
            f"queue {environment.queue_url}, {mode}, {scenario.destination} at {orchestrator.url}"
        )
        return await _Run(scenario, display, environment, orchestrator).run()


class _Run:
    def __init__(
        self,
        scenario: Scenario,
        display: Display,
        environment: Environment,
        orchestrator: InngestServer | Emulator,
    ) -> None:
        self._scenario = scenario
        self._display = display
        self._environment = environment
        self._orchestrator = orchestrator
        self._publisher = Publisher(environment.client, environment.queue_url, fifo=scenario.fifo)
        names = [url.rpartition("/")[2] for url in (environment.queue_url, environment.dlq_url)]
        self._queue, self._dead = (environment.sqs.queues[name] for name in names)

    async def run(self) -> Reconciliation:
        """Run all steps in order."""
        messages = traffic(
            self._scenario.messages, self._scenario.seed, pushed=self._scenario.host == "sqsd"
        )
        self._redeliver()
        async with self._showing_progress(), self._publishing(messages) as publishing:
            await self._until(self._processed(0.3))
            await self._outage()
            await self._until(self._processed(0.6))
            await self._crash()
            await publishing
            await self._until(self._empty)
            await self._orchestrator.settled()
        return reconcile(
            self._publisher.record,
            self._orchestrator.events,
            self._orchestrator.runs,
            self._orchestrator.functions,
            self._dead.messages(),
            len(self._queue.messages()),
            ordered=self._scenario.fifo,
        )

    @contextlib.asynccontextmanager
    async def _publishing(
        self, messages: Sequence[SampleMessage]
    ) -> AsyncIterator[asyncio.Task[None]]:
        publishing = asyncio.create_task(self._publisher.publish(messages))
        try:
            yield publishing
        finally:
            publishing.cancel()
            await asyncio.wait({publishing})

    def _redeliver(self) -> None:
        """Make SQS deliver some messages twice, as standard queues may."""
        if not self._scenario.fifo:
            fault = Fault(action="DeleteMessageBatch", duplicate=True, times=REDELIVERED, skip=3)
            self._environment.sqs.faults.add(fault)

    async def _outage(self) -> None:
        self._display.say(f"the orchestrator goes down for {OUTAGE:g} s")
        await self._orchestrator.down()
        await asyncio.sleep(OUTAGE)
        await self._orchestrator.up()
        self._display.say("the orchestrator is back")

    async def _crash(self) -> None:
        relay = self._environment.relay
        if isinstance(relay, LambdaFunction):
            await self._until(lambda: relay.busy > 0)
        await relay.kill()
        self._display.say("the relay was killed without warning (SIGKILL)")
        await relay.start()
        self._display.say("the relay is back")

    def _processed(self, part: float) -> Callable[[], bool]:
        """Whether this part of the traffic has been accepted or dead-lettered."""
        goal = part * self._scenario.messages
        return lambda: len(self._orchestrator.acknowledged) + len(self._dead.messages()) >= goal

    def _empty(self) -> bool:
        return not self._queue.messages()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._display.seconds > self._scenario.limit:
                left = len(self._queue.messages())
                raise ScenarioTimeout(
                    f"{left} messages are left after {self._scenario.limit:g} s; the relay's last"
                    f" output:\n{self._environment.relay.output()}"
                )
            await asyncio.sleep(_TICK)

    @contextlib.asynccontextmanager
    async def _showing_progress(self) -> AsyncIterator[None]:
        showing = asyncio.create_task(self._show_progress())
        try:
            yield
        finally:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing

    async def _show_progress(self) -> None:
        while True:
            self._display.progress(
                Progress(
                    self._publisher.done,
                    self._scenario.messages,
                    len(self._orchestrator.acknowledged),
                    len(self._dead.messages()),
                    len(self._queue.messages()),
                )
            )
            await asyncio.sleep(4 * _TICK)
