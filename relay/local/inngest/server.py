"""The local Inngest server: it can go down, crash, and restart on the same port with its state."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from relay.local.clock import Clock, SystemClock
from relay.local.inngest.api_v2 import ApiV2
from relay.local.inngest.connection import Listener
from relay.local.inngest.disk import Disk, Persistence
from relay.local.inngest.event_api import EventApi, Mode
from relay.local.inngest.faults import Control, Faults, FaultScript, apply_fault
from relay.local.inngest.pipeline import Pipeline
from relay.local.inngest.read_back import ReadBack
from relay.local.inngest.records import Function, Lags, Run, StoredEvent, ulid
from relay.local.inngest.request import Reply, Request
from relay.local.inngest.service import Service

DEFAULT_PORT = 8288
KEPT_REQUESTS = 100

_log = logging.getLogger(__name__)


class InngestServer:
    """A local Inngest; an async context manager that listens while it is entered.

    Args:
        port: 0 for any free port; it stays the same across restarts.
        functions: the registered functions; may be empty.
        clock: measures every time, lag and deduplication window.
        faults: called for each request that `script` has no fault for.
        mode: `dev` accepts any event key and needs no signing key; `start` requires both.
        persistence: what survives a restart. `memory`: stored events, but neither waiting runs nor
            the known ids; `durable` is a server with an external, persistent Redis; `none` is a
            `dev` without `--persist`. What is acknowledged and not yet stored never survives.
        event_keys: the event keys of `start`.
        signing_key: the bearer token that `start` requires for reads.
        lags: seconds between acknowledging, storing, scheduling and running.
        boot_window: seconds after each start during which acknowledged events are lost.
        state: a file with which stored, scheduled and run events survive the process.
        entropy: returns this many random bytes, for ULIDs.
    """

    def __init__(  # noqa: PLR0913 - a double of a whole server: each of its knobs is one argument
        self,
        port: int = 0,
        functions: Sequence[Function] = (),
        *,
        host: str = "127.0.0.1",
        clock: Clock | None = None,
        faults: Faults | None = None,
        mode: Mode = "dev",
        persistence: Persistence = "memory",
        event_keys: Sequence[str] = (),
        signing_key: str = "",
        lags: Lags | None = None,
        boot_window: float = 0.0,
        state: Path | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.script = FaultScript()
        self.requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        self.answers: Counter[int] = Counter()
        self._listener = Listener(host, port, self._respond, self.script.refuses)
        self._clock = clock or SystemClock()
        self._faults = faults
        self._disk = Disk(persistence, state)
        self._pipeline = Pipeline(
            self._disk,
            functions,
            lags or Lags(),
            lambda now: ulid(int(now * 1000), entropy(10)),
        )
        self._api = EventApi(
            self._pipeline,
            self._clock,
            entropy,
            mode=mode,
            event_keys=event_keys,
            boot_window=boot_window,
        )
        self._read_back = ReadBack(self._disk, self._pipeline, self._clock)
        self._service = Service(
            mode,
            signing_key,
            self._pipeline.functions,
            self._api,
            self._read_back,
            ApiV2(self._disk, self._pipeline, self._clock, self._api.accept_one),
        )
        self._control = Control(
            self.script,
            self._pipeline.functions,
            lambda: self.runs,
            lambda: (self.events, dict(self.acknowledged)),
        )
        self._writes_file = state is not None
        self._changed = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._alive = False

    async def __aenter__(self) -> Self:
        self._listener.bind()
        await self.restart()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.terminate()
        self._disk.close()
        self._listener.release()

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://{self._listener.host}:{self._listener.port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listener.port

    @property
    def functions(self) -> list[Function]:
        """The registered functions; may be changed in place at any time."""
        return self._pipeline.functions

    @property
    def runs(self) -> list[Run]:
        """Every run so far, across restarts, in the order of the first attempts."""
        self._advance()
        return list(self._disk.runs.values())

    @property
    def events(self) -> list[StoredEvent]:
        """Every stored event, oldest first; each copy of an id is one event."""
        self._advance()
        return list(self._disk.events())

    @property
    def acknowledged(self) -> Counter[str]:
        """How often this process accepted each id, lost events included."""
        return self._api.acknowledged

    async def settled(self) -> None:
        """Return when all steps of every event are done, including runs due in the future."""
        await self.until(lambda: self._pipeline.next_step() is None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is checked after each request and each step."""
        self._advance()
        while not condition():
            await self._next_change(self._pipeline.next_step())
            self._advance()

    async def down(self) -> None:
        """Refuse new connections and reset the open ones; the pipeline continues."""
        await self._listener.down()

    async def up(self) -> None:
        """Listen again, on the same port."""
        await self._listener.up()

    async def kill(self) -> None:
        """Stop as with SIGKILL: everything that was not persisted is lost."""
        self._advance()
        await self._stop()
        self._pipeline.crash()

    async def terminate(self) -> None:
        """Stop as with SIGTERM: the same is lost, but runs that have started come to their end."""
        if self._alive:
            self._advance()
            await self._stop()
            self._pipeline.shut_down(self._clock.time())

    async def restart(self) -> None:
        """Start, with the state that was persisted before; also used for the first start."""
        self._pipeline.restore(self._clock.time())
        self._alive = True
        self._api.started()
        self._read_back.started()
        if self._writes_file:
            self._writer = asyncio.create_task(self._write_when_due())
        self._changed.set()
        await self.up()

    async def _stop(self) -> None:
        self._alive = False
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None
        await self.down()

    def _advance(self) -> None:
        if self._alive:
            self._pipeline.advance(self._clock.time())

    async def _write_when_due(self) -> None:
        # Reading `runs` or `events` advances the pipeline; readers of the file cannot do that.
        while True:
            await self._next_change(self._pipeline.next_step())
            self._advance()

    async def _next_change(self, due: float | None) -> None:
        waits: set[asyncio.Future[object]] = {asyncio.ensure_future(self._changed.wait())}
        if due is not None:
            waits.add(asyncio.ensure_future(self._clock.sleep(due - self._clock.time())))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._changed.clear()

    async def _respond(self, request: Request) -> Reply:
        reply = self._control.answer(request) if request.path.startswith("/_") else None
        if reply is None:
            reply = await self._serve(request)
        self.answers[reply.status] += 1
        self._changed.set()
        _log.info("%s %d", request.shown, reply.status)
        return reply

    async def _serve(self, request: Request) -> Reply:
        self.requests.append(request)
        fault = self.script(request) or (self._faults(request) if self._faults else None)
        if fault is not None and fault.end == "refuse":
            return Reply(200, b"", end="refuse")
        reply = self._service.answer(request, fault)
        if fault is None:
            return reply
        if fault.delay:
            await self._clock.sleep(fault.delay)
        return apply_fault(reply, fault)
