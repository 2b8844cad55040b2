"""The Lambda host of a chaos run: the function in forked processes, and its event source."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.local.environment import HANDLER
from relay.local.lambda_events import (
    Answer,
    EventSource,
    EventSourceOptions,
    FaultScript,
    Function,
    FunctionError,
    Runtime,
    Throttled,
)
from relay.local.lambda_events.queue import SqsQueue
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.processes import PATIENCE, ForkServer
from tests.chaos.proxy import Damage, Exchange, Phase, Proxy, Replaced

CLOCKS = {
    "RELAY_REQUEST_TIMEOUT": "15",
    "RELAY_CONFIRM_DEADLINE": "10",
    "RELAY_LAMBDA_TIMEOUT": "55",
    "RELAY_LAMBDA_VISIBILITY_TIMEOUT": "330",
}
"""The shortest function that the relay accepts for these timeouts."""

TIMEOUT = float(CLOCKS["RELAY_LAMBDA_TIMEOUT"])
HIDDEN = float(CLOCKS["RELAY_LAMBDA_VISIBILITY_TIMEOUT"])

VISIBILITY = 60
"""The queue's visibility timeout: shorter than AWS advises and than the relay is told. So messages
come back soon after a kill, and may come back while their batch is still being handled."""

OPTIONS = EventSourceOptions(maximum_concurrency=3)


@dataclass(frozen=True)
class ForkedChild:
    """A forked process, as the local Lambda sees it."""

    pid: int
    end: asyncio.Future[int]

    @property
    def returncode(self) -> int | None:
        return self.end.result() if self.end.done() else None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self.end)


class LambdaRelay:
    """The function, in the place of a `Relay`: `start` deploys it; until then it is throttled.

    Its processes are frozen between invocations, and speak with the runtime API through proxies
    with the interceptor of `api`. `starts` counts processes.
    """

    def __init__(
        self,
        parent: ForkServer,
        environment: Mapping[str, str],
        output: Path,
        mutant: str | None,
        *,
        clock: AcceleratedClock,
        api: Proxy,
    ) -> None:
        self.parent = parent
        self.environment = environment
        self.output = output
        self.port = None
        self.starts = 0
        self.killed: list[
            float
        ] = []  # none that counts: an invocation writes its lines before it ends
        self.faults = FaultScript()
        self._mutant = mutant
        self.clock = clock
        self._api = api
        self._proxies = contextlib.AsyncExitStack()
        self._function: Function | None = None

    @property
    def running(self) -> bool:
        return self._function is not None

    async def invoke(self, event: bytes) -> Answer | FunctionError:
        """Invoke the function.

        Raises:
            Throttled: it is down, or a fault says so.
        """
        if self._function is None:
            raise Throttled
        return await self._function.invoke(event)

    async def start(self) -> None:
        """Deploy it. The next invocation starts a process."""
        assert not self.running
        self._function = Function(
            HANDLER,
            variables=self.environment,
            output=self.output,
            timeout=TIMEOUT,
            freeze=True,
            faults=self.faults,
            runtime=Runtime(launch=self._launch, clock=self.clock),
        )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process that handles an invocation."""
        if self._function is not None:
            for pid in self._function.pids[: self._function.busy]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    async def kill(self) -> None:
        """Kill every process, in the middle of its invocation or frozen."""
        function, self._function = self._function, None
        assert function is not None
        await function.kill()

    async def kill_if_running(self) -> None:
        """Kill it, if it is running."""
        if self.running:
            await self.kill()

    async def terminate(self) -> int:
        """End it as a deployment does: invocations under way finish."""
        function, self._function = self._function, None
        assert function is not None
        async with asyncio.timeout(PATIENCE):
            while function.busy:  # noqa: ASYNC110 - it has no event for this
                await asyncio.sleep(0.01)
        await function.kill()
        return 0

    async def close(self) -> None:
        """Kill it, and close the proxies."""
        await self.kill_if_running()
        await self._proxies.aclose()

    def log(self, lines: int = 25) -> str:
        """The last lines of its output."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def _launch(
        self, _arguments: Sequence[str], variables: Mapping[str, str], output: Path
    ) -> ForkedChild:
        proxy = Proxy("Lambda", int(variables["AWS_LAMBDA_RUNTIME_API"].rpartition(":")[2]))
        proxy.intercept = self._intercept
        await self._proxies.enter_async_context(proxy.serving())
        command = {
            "handler": HANDLER,
            "environment": {
                **self.environment,
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{proxy.port}",
            },
            "output": str(output),
            "mutant": self._mutant,
        }
        self.starts += 1
        return ForkedChild(*await self.parent.fork(command))

    async def _intercept(self, exchange: Exchange, phase: Phase) -> Damage | Replaced | None:
        return await self._api.intercept(exchange, phase)


@contextlib.asynccontextmanager
async def event_source(
    relay: LambdaRelay, queue_url: str, endpoint_url: str, region: str
) -> AsyncIterator[EventSource]:
    """Invoke the function with the queue's messages while the block runs."""
    async with (
        SqsQueue(queue_url, endpoint_url=endpoint_url, region=region) as queue,
        EventSource(
            queue, relay.invoke, OPTIONS, function_timeout=TIMEOUT, clock=relay.clock
        ) as source,
    ):
        yield source
