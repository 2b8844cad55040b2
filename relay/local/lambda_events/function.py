"""A local Lambda function: a pool of execution environments, one for each concurrent invocation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from relay.local.lambda_events.execution import Answer, Execution, FunctionError
from relay.local.lambda_events.faults import FaultScript

OWN_RUNTIME = ("-m", "relay.local.lambda_events.runtime")

__all__ = ["Answer", "Function", "FunctionError", "Throttled"]


class Throttled(Exception):
    """The function's reserved concurrency is in use, or a fault refuses the invocation."""


class Function:
    """A function whose handler runs in child processes while it is entered.

    An idle environment is used again, the latest first; else a new one is started. One whose
    invocation ended without an answer is gone (Lambda Developer Guide, "Lambda execution
    environment").

    Args:
        handler: such as `relay.app.aws_lambda.handler`.
        variables: its `RELAY_*` and `AWS_*` variables, in place of those of this process.
        output: the file that the output of all processes is appended to.
        timeout: seconds that an invocation may take.
        reserved_concurrency: invocations at a time beyond which further ones are throttled.
        freeze: whether to stop the processes between invocations, as AWS does.
        runtime: the arguments of `python` that start a runtime.
        faults: applied to invocations.
    """

    def __init__(
        self,
        handler: str,
        *,
        variables: Mapping[str, str],
        output: Path,
        timeout: float,
        reserved_concurrency: int | None = None,
        freeze: bool = False,
        runtime: Sequence[str] = OWN_RUNTIME,
        faults: FaultScript | None = None,
    ) -> None:
        self.timeout = timeout
        self.faults = faults or FaultScript()
        self._handler = handler
        self._variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RELAY_", "AWS_"))
        } | dict(variables)
        self._output = output
        self._reserved = reserved_concurrency
        self._freeze = freeze
        self._runtime = runtime
        self._idle: list[Execution] = []
        self._busy: set[Execution] = set()
        self.started = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.kill()

    @property
    def pids(self) -> list[int]:
        """The processes that run or are frozen, those that handle an invocation first."""
        return [one.pid for one in (*self._busy, *self._idle) if one.alive]

    @property
    def busy(self) -> int:
        """Invocations under way."""
        return len(self._busy)

    async def invoke(self, event: bytes) -> Answer | FunctionError:
        """Invoke the function and return its answer.

        Raises:
            Throttled: it is not invoked.
        """
        fault = self.faults.take()
        throttled = self._reserved is not None and len(self._busy) >= self._reserved
        if throttled or (fault is not None and fault.kind == "throttle"):
            raise Throttled
        one = self._take()
        self._busy.add(one)
        try:
            if not one.alive:
                self.started += 1
                await one.start()
            return await one.invoke(event, self.timeout, fault)
        except BaseException:
            await one.stop()
            raise
        finally:
            self._busy.discard(one)
            if one.alive:
                self._idle.append(one)

    @property
    def running(self) -> bool:
        """True: without a process, the next invocation starts one."""
        return True

    async def ended(self) -> NoReturn:
        """Never return: without a process, the next invocation starts one."""
        await asyncio.Event().wait()
        raise AssertionError

    async def start(self) -> None:
        """Do nothing: the next invocation starts a process."""

    async def kill(self) -> None:
        """Kill every process; those in the middle of an invocation too."""
        everyone = (*self._busy, *self._idle)
        self._idle.clear()
        await asyncio.gather(*(one.stop() for one in everyone))

    def output(self, lines: int = 15) -> str:
        """The last lines of the output of all processes."""
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _take(self) -> Execution:
        while self._idle:
            one = self._idle.pop()
            if one.alive:
                return one
        return Execution(
            runtime=self._runtime,
            handler=self._handler,
            variables=self._variables,
            output=self._output,
            freeze=self._freeze,
        )
