"""Runs the application's functions for the events that the embedded event API accepts.

The embedded server of `relay.local` stores events, recognises repeated ids and says which function
an event starts, but it runs no code. This does the rest over HTTP, as Inngest does: the application
registers its functions; for each run it is called again and again with the results of the steps so
far, until it answers with the function's result.

It shows that the application's real functions, steps, retries, failure handlers, limits and delayed
events work. It does not show Inngest's own scheduling: a run lives in this process only, crons
never fire, retries come within seconds, and of the limits only `concurrency` is kept. For that, run
the same story against a real server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx

from relay.local.inngest import Function, InngestServer, Run
from sermons.functions import APP

FAILED = "inngest/function.failed"
_DEFAULT_RETRIES = 3
_FIRST_RETRY = 0.5
_AGAIN = 0.5
"""Seconds between two tries to reach an application that is not running."""

_TIMEOUT = 120.0


class Unsupported(Exception):
    """The application uses something of Inngest that is not reproduced here."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A function as the application registered it.

    Attributes:
        events: the names of the events that start it.
        url: where it is called.
        retries: further attempts of a step after the first.
        limits: its concurrency limits, by key; functions with the same key share one.
    """

    id: str
    events: tuple[str, ...]
    url: str
    retries: int
    limits: Mapping[str, int]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Registered:
        """The function in a registration's `functions`."""
        step = config["steps"]["step"]
        limits = {
            limit.get("key") or config["id"]: limit["limit"]
            for limit in config.get("concurrency") or ()
        }
        return cls(
            id=config["id"],
            events=tuple(t["event"] for t in config["triggers"] if "event" in t),
            url=step["runtime"]["url"],
            retries=(step.get("retries") or {}).get("attempts", _DEFAULT_RETRIES),
            limits=limits,
        )


@dataclass
class _Progress:
    """A run so far: the results of its steps, by their hashed ids, in the order of their ends."""

    event: dict[str, Any]
    run_id: str
    steps: dict[str, Any] = field(default_factory=dict)
    stack: list[str] = field(default_factory=list)
    attempt: int = 0

    def body(self, attempts: int) -> dict[str, Any]:
        """What the application is called with."""
        ctx = {
            "attempt": self.attempt,
            "disable_immediate_execution": False,
            "max_attempts": attempts,
            "run_id": self.run_id,
            "stack": {"stack": self.stack, "current": len(self.stack)},
        }
        return {
            "ctx": ctx,
            "event": self.event,
            "events": [self.event],
            "steps": self.steps,
            "use_api": False,
        }

    def finish(self, step: str, result: Any) -> None:
        """A step has its result: the next one gets all attempts again."""
        self.steps[step] = result
        self.stack.append(step)
        self.attempt = 0


class Executor:
    """Runs what `server` schedules, while `run` runs.

    Args:
        registrations: the `functions` of the application's registration.
        failures: called with a sentence for each run that failed for good.
    """

    def __init__(
        self,
        server: InngestServer,
        registrations: Sequence[Mapping[str, Any]],
        failures: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._server = server
        self._functions = {f.id: f for f in map(Registered.of, registrations)}
        self._failures = failures
        self._sleep = sleep
        self._limits: dict[str, asyncio.Semaphore] = {}
        self._is_up = asyncio.Event()
        self._is_up.set()
        server.functions[:] = [
            Function(name=function.id, on=event, app=APP)
            for function in self._functions.values()
            for event in function.events
            if event != FAILED
        ]

    @property
    def url(self) -> str:
        """Where the relay sends events."""
        return self._server.url

    async def down(self) -> None:
        """Stop accepting events and calling functions. Steps that run come to their end."""
        self._is_up.clear()
        await self._server.down()

    async def up(self) -> None:
        """Go on."""
        await self._server.up()
        self._is_up.set()

    async def run(self) -> None:
        """Execute each run once, until cancelled.

        Raises:
            ExceptionGroup: with `Unsupported`, if the application needs more than there is here.
        """
        started = 0
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            while True:
                await self._server.until(lambda: len(self._server.runs) > started)  # noqa: B023 - awaited at once
                for run in self._server.runs[started:]:
                    group.create_task(self._execute(client, run))
                    started += 1

    async def _execute(self, client: httpx.AsyncClient, run: Run) -> None:
        function = self._functions[run.function]
        # The server has ended the run at once: what it is told here is what `relay audit` reads.
        run.status, run.ended_at = "Running", None
        event = {"id": run.event_id, "name": run.event_name, "data": run.payload, "ts": run.ts}
        error = await self._drive(client, function, _Progress(event, run.run_id))
        run.status, run.output = ("Completed", None) if error is None else ("Failed", error)
        run.ended_at = time.time()
        handler = self._functions.get(f"{function.id}-failure")
        if error is not None:
            self._failures(f"{function.id} failed for {run.event_id}: {error.get('message')}")
        if error is not None and handler is not None:
            data = {"function_id": function.id, "run_id": run.run_id, "error": error}
            failed = {"name": FAILED, "data": {**data, "event": event}, "ts": run.ts}
            await self._drive(client, handler, _Progress(failed, f"{run.run_id}-failure"))

    async def _drive(
        self, client: httpx.AsyncClient, function: Registered, progress: _Progress
    ) -> dict[str, Any] | None:
        """Call the application until the function ends; its error, None if it succeeded."""
        while True:
            reply = await self._call(client, function, progress)
            if reply is not None and reply.status_code == httpx.codes.OK:
                return None
            if reply is not None and reply.status_code == httpx.codes.PARTIAL_CONTENT:
                failed = await self._apply(reply.json(), progress)
                final = (
                    "x-inngest-no-retry" in reply.headers or progress.attempt >= function.retries
                )
                if failed is None:
                    continue
                if final:
                    progress.finish(failed["id"], {"error": failed["error"]})
                    continue
            elif _is_final(reply) or progress.attempt >= function.retries:
                return _error(reply)
            progress.attempt += 1
            await self._sleep(_FIRST_RETRY * 2 ** (progress.attempt - 1))

    async def _call(
        self, client: httpx.AsyncClient, function: Registered, progress: _Progress
    ) -> httpx.Response | None:
        """One request within the function's limits; None if there was no answer.

        An application that refuses connections is not running. It is waited for: that uses up no
        attempt, although Inngest's do.
        """
        while True:
            await self._is_up.wait()
            try:
                return await self._post(client, function, progress)
            except httpx.ConnectError:
                await self._sleep(_AGAIN)
            except httpx.TransportError:
                return None

    async def _post(
        self, client: httpx.AsyncClient, function: Registered, progress: _Progress
    ) -> httpx.Response:
        async with AsyncExitStack() as stack:
            for key, limit in function.limits.items():
                await stack.enter_async_context(
                    self._limits.setdefault(key, asyncio.Semaphore(limit))
                )
            return await client.post(function.url, json=progress.body(function.retries + 1))

    async def _apply(
        self, operations: Sequence[dict[str, Any]], progress: _Progress
    ) -> dict[str, Any] | None:
        """Store the results of steps; the operation of one that failed, None if none did."""
        for operation in operations:
            match operation["op"]:
                case "StepRun":
                    progress.finish(operation["id"], {"data": operation.get("data")})
                case "StepError" | "StepFailed":
                    return operation
                case unknown:
                    raise Unsupported(f"{unknown} is not executed here: run it on a real Inngest")
        return None


def _is_final(reply: httpx.Response | None) -> bool:
    """Whether the application forbids another attempt."""
    return reply is not None and reply.headers.get("x-inngest-no-retry") == "true"


def _error(reply: httpx.Response | None) -> dict[str, Any]:
    if reply is None:
        return {"name": "NoAnswer", "message": "the application did not answer"}
    try:
        error: dict[str, Any] = reply.json()
    except ValueError:
        return {"name": "HTTPError", "message": f"status {reply.status_code}"}
    return error
