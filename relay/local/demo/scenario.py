"""One performance of the demonstration: traffic, an outage, a crash, and the judge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.local.demo.display import Display, Progress
from relay.local.demo.publisher import Publisher, traffic
from relay.local.demo.reconciliation import Reconciliation, reconcile
from relay.local.demo.samples import LISTENED, SampleMessage
from relay.local.environment import Environment, Plan, local_environment
from relay.local.inngest import Function, InngestServer
from relay.local.orchestrators.emulator import Emulator
from relay.local.sqs import Fault

_UNHEARD, _HEARD, _POPULAR = LISTENED
FUNCTIONS = (
    Function(name="transcribe", on=_HEARD),
    Function(name="transcode", on=_POPULAR),
    Function(name="embed", on=_POPULAR),
    Function(name="notify", on=_POPULAR),
    Function(name="index-upload", on="s3/*"),
)
"""None listens to one of the names, one to the next and three to the last."""

OUTAGE = 4.0
"""Seconds for which the orchestrator is down."""

VISIBILITY = 12
"""Seconds after which the messages of a killed poller come back."""

REDELIVERED = 30
"""How many receives bring a message that will come a second time."""

_TICK = 0.05


class ScenarioTimeout(Exception):
    """The queue was not empty in time. The text says what was left."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How the demonstration goes. `limit` is in seconds."""

    directory: Path
    messages: int = 2_000
    seed: int = 1
    fifo: bool = False
    poll: bool = False
    destination: str = "inngest"
    limit: float = 120.0


async def run_scenario(scenario: Scenario, display: Display) -> Reconciliation:
    """Publish, break things, wait until the queue is empty, and balance the books.

    Raises:
        TookTooLong: the queue was not empty in time.
        RelayFailed: the relay ended by itself.
    """
    plan = Plan(
        directory=scenario.directory,
        functions=FUNCTIONS,
        fifo=scenario.fifo,
        poll=scenario.poll,
        visibility=VISIBILITY,
        destination=scenario.destination,
    )
    async with local_environment(plan) as environment:
        orchestrator = environment.emulator or environment.inngest
        assert orchestrator is not None  # noqa: S101 - the plan names no other server
        mode = "relay poll" if scenario.poll else "sqsd and relay serve"
        display.say(
            f"queue {environment.queue_url}, {mode}, {scenario.destination} at {orchestrator.url}"
        )
        return await _Performance(scenario, display, environment, orchestrator).run()


class _Performance:
    def __init__(
        self,
        scenario: Scenario,
        display: Display,
        environment: Environment,
        orchestrator: InngestServer | Emulator,
    ) -> None:
        self._programme = scenario
        self._show = display
        self._stage = environment
        self._orchestrator = orchestrator
        self._publisher = Publisher(environment.client, environment.queue_url, fifo=scenario.fifo)
        names = [url.rpartition("/")[2] for url in (environment.queue_url, environment.dlq_url)]
        self._queue, self._dead = (environment.sqs.queues[name] for name in names)

    async def run(self) -> Reconciliation:
        """All acts in their order."""
        script = traffic(
            self._programme.messages, self._programme.seed, pushed=not self._programme.poll
        )
        self._redeliver()
        async with self._watched(), self._publishing(script) as publishing:
            await self._until(self._share(0.3))
            await self._outage()
            await self._until(self._share(0.6))
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
            ordered=self._programme.fifo,
        )

    @contextlib.asynccontextmanager
    async def _publishing(
        self, script: Sequence[SampleMessage]
    ) -> AsyncIterator[asyncio.Task[None]]:
        publishing = asyncio.create_task(self._publisher.publish(script))
        try:
            yield publishing
        finally:
            publishing.cancel()
            await asyncio.wait({publishing})

    def _redeliver(self) -> None:
        """Let SQS deliver some messages twice, as standard queues may."""
        if not self._programme.fifo:
            fault = Fault(action="DeleteMessageBatch", duplicate=True, times=REDELIVERED, skip=3)
            self._stage.sqs.faults.add(fault)

    async def _outage(self) -> None:
        self._show.say(f"the orchestrator goes down for {OUTAGE:g} s")
        await self._orchestrator.down()
        await asyncio.sleep(OUTAGE)
        await self._orchestrator.up()
        self._show.say("the orchestrator is back")

    async def _crash(self) -> None:
        await self._stage.relay.kill()
        self._show.say("the relay was killed without warning (SIGKILL)")
        await self._stage.relay.start()
        self._show.say("the relay is back")

    def _share(self, part: float) -> Callable[[], bool]:
        """Whether so much of the traffic has come to its end."""
        goal = part * self._programme.messages
        return lambda: len(self._orchestrator.acknowledged) + len(self._dead.messages()) >= goal

    def _empty(self) -> bool:
        return not self._queue.messages()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._show.seconds > self._programme.limit:
                left = len(self._queue.messages())
                raise ScenarioTimeout(
                    f"{left} messages were left after {self._programme.limit:g} s; the relay's last"
                    f" words:\n{self._stage.relay.output()}"
                )
            await asyncio.sleep(_TICK)

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Show the progress while the block runs."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        while True:
            self._show.progress(
                Progress(
                    self._publisher.done,
                    self._programme.messages,
                    len(self._orchestrator.acknowledged),
                    len(self._dead.messages()),
                    len(self._queue.messages()),
                )
            )
            await asyncio.sleep(4 * _TICK)
