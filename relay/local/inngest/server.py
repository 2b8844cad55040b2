"""The event API on a real socket: it starts, goes down, dies, and comes back where it was."""

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
from relay.local.inngest.connection import Listener
from relay.local.inngest.event_api import EventApi, Mode
from relay.local.inngest.faults import Control, Faults, FaultScript, spoiled
from relay.local.inngest.pipeline import Disk, Persistence, Pipeline
from relay.local.inngest.read_back import ReadBack
from relay.local.inngest.records import Function, Lags, Run, StoredEvent, ulid
from relay.local.inngest.request import Reply, Request

DEFAULT_PORT = 8288
KEPT_REQUESTS = 100

_log = logging.getLogger(__name__)


class InngestServer:
    """A local Inngest; an async context manager that listens while it is entered.

    Args:
        port: 0 for any free one; the same one for the server's whole life.
        functions: who listens to what; none at all is normal.
        clock: every time, lag and memory is measured on it.
        faults: asked for each request that `script` has no fault for.
        mode: `dev` takes any event key and no signing key, `start` insists on both.
        persistence: `memory` snapshots the queue now and then, `durable` stands for a server with
            an external, persistent Redis. The stream before it is in memory either way.
        event_keys: the keys that `start` knows.
        signing_key: the bearer token that `start` wants for reading back.
        lags: seconds between acknowledging, storing, scheduling, running and snapshotting.
        boot_window: seconds after each start in which acknowledged events vanish.
        state: a file that makes what is stored, scheduled and run outlive the process.
        entropy: random bytes for ULIDs, as many as asked for.
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
        token = signing_key if mode == "start" else None
        self._read_back = ReadBack(self._disk, self._pipeline, self._clock, token)
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
        """Where it listens, without a slash at the end."""
        return f"http://{self._listener.host}:{self._listener.port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listener.port

    @property
    def functions(self) -> list[Function]:
        """Who listens; may be changed in place at any time."""
        return self._pipeline.functions

    @property
    def runs(self) -> list[Run]:
        """Every run so far, of all the server's lives, in the order of their first attempts."""
        self._advance()
        return list(self._disk.runs.values())

    @property
    def events(self) -> list[StoredEvent]:
        """Every stored event, each copy of an id its own, oldest first."""
        self._advance()
        return [self._disk.stored[internal_id] for internal_id in self._disk.order]

    @property
    def acknowledged(self) -> Counter[str]:
        """How often each id was accepted by this process, forgotten and vanished events too."""
        return self._api.acknowledged

    async def settled(self) -> None:
        """Return when every event has taken all of its steps, those of the future included."""
        await self.until(lambda: self._pipeline.next_step() is None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is asked after each request and each step."""
        self._advance()
        while not condition():
            await self._next_change(self._pipeline.next_step())
            self._advance()

    async def down(self) -> None:
        """Refuse connections and cut those that are open; inside, everything goes on."""
        await self._listener.down()

    async def up(self) -> None:
        """Listen again, on the same port."""
        await self._listener.up()

    async def kill(self) -> None:
        """Die as of a SIGKILL: down, and everything lost that was not written down."""
        self._advance()
        await self._die()
        self._pipeline.crash()

    async def terminate(self) -> None:
        """Die as of a SIGTERM: down, the stream lost, the queue written down."""
        if self._alive:
            self._advance()
            await self._die()
            self._pipeline.shut_down(self._clock.time())

    async def restart(self) -> None:
        """Come up with what was written down before; also the first start."""
        self._pipeline.restore(self._clock.time())
        self._alive = True
        self._api.started()
        if self._writes_file:
            self._writer = asyncio.create_task(self._write_when_due())
        self._changed.set()
        await self.up()

    async def _die(self) -> None:
        self._alive = False
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None
        await self.down()

    def _advance(self) -> None:
        if self._alive:
            self._pipeline.advance(self._clock.time())

    async def _write_when_due(self) -> None:
        # Whoever asks moves the pipeline on by asking; a file has readers that cannot ask.
        while True:
            await self._next_change(self._pipeline.next_due())
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
        reply = self._read_back.answer(request)
        if reply is None:
            reply = self._api.answer(request, fault)
        if fault is None:
            return reply
        if fault.delay:
            await self._clock.sleep(fault.delay)
        return spoiled(reply, fault)
