"""A queue on a real socket with a manual clock, and a poller on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from relay.aws.sqs import Queue
from relay.aws.sqs_values import Outgoing, Sent
from relay.delivery.fast_path import Caller, FastDelivery
from relay.delivery.retention import Retention
from relay.local.clock import ManualClock
from relay.local.sqs.queue import Queue as ServerQueue
from relay.local.sqs.server import SqsServer
from relay.model.facts import Fact
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome
from relay.sources.poller import Limits, Poller

PATIENCE = 20.0


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; fails after `PATIENCE` real seconds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition is at another socket's end
            await asyncio.sleep(0.005)


class Script:
    """A handler with a scripted outcome for each body, `Delivered` by default."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.running: list[str] = []
        self.answers: dict[str, Outcome | BaseException] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.most = 0

    async def __call__(self, message: Message) -> Outcome:
        body = message.body.decode()
        self.started.append(body)
        self.running.append(body)
        self.most = max(self.most, len(self.running))
        try:
            if body in self.gates:
                await self.gates[body].wait()
        except asyncio.CancelledError:
            self.cancelled.append(body)
            raise
        finally:
            self.running.remove(body)
        answer = self.answers.get(body, Delivered())
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def hold(self, *bodies: str) -> None:
        """Keep these from ending until `free`."""
        self.gates.update({body: asyncio.Event() for body in bodies})

    def free(self, *bodies: str) -> None:
        """Let these end; all of them if none is given."""
        for body in bodies or tuple(self.gates):
            self.gates.pop(body).set()


class Begun:
    """The attempt of a message that was begun on the fast path: its handler, in a task."""

    def __init__(self, work: Coroutine[Any, Any, Outcome]) -> None:
        self.listener: FastDelivery | None = None
        self._detached = False
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._ended)

    def detach(self) -> bool:
        before, self._detached = self._detached, True
        return not before

    def withdraw(self) -> None:
        self._task.cancel()

    async def outcome(self) -> Outcome:
        return await self._task

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        assert self.listener is not None
        if not self.detach():
            return
        if not (task.cancelled() or task.exception()):
            outcome = task.result()
            if isinstance(outcome, Delivered):
                self.listener.delivered(outcome)
                return
        self.listener.undelivered()


class FastScript:
    """A handler whose messages are all on the fast path."""

    def __init__(self, handle: Callable[[Message], Coroutine[Any, Any, Outcome]]) -> None:
        self._handle = handle

    def begin(self, message: Message, caller: Caller) -> FastDelivery:
        attempt = Begun(self._handle(message))
        path: Any = self
        decoded: Any = None
        attempt.listener = FastDelivery(message, 0.0, decoded, caller, path, attempt)
        return attempt.listener

    def forget(self, delivery: FastDelivery) -> None:
        """No message is counted."""

    def conclude(self, delivery: FastDelivery, outcome: Outcome) -> None:
        """Nothing follows from it for this handler."""

    async def proceed(self, delivery: FastDelivery) -> Outcome:
        assert delivery.attempt is not None
        return await delivery.attempt.outcome()


class ManualGate:
    """A gate that a test opens and closes."""

    paused = False

    def __init__(self, *, accepting: bool = True) -> None:
        self.waiting = 0
        self._open = asyncio.Event()
        self.set(accepting=accepting)

    @property
    def accepting(self) -> bool:
        return self._open.is_set()

    async def wait_accepting(self) -> None:
        self.waiting += 1
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1

    def set(self, *, accepting: bool) -> None:
        if accepting:
            self._open.set()
        else:
            self._open.clear()


class Rig:
    """A local queue, a clock, a scripted handler and the facts of its pollers."""

    def __init__(self, server: SqsServer, clock: ManualClock, queue: Queue) -> None:
        self.server = server
        self.clock = clock
        self.queue = queue
        self.wire = queue._client
        self.facts: list[Fact] = []
        self.calls = 0  # open requests except receives
        self.handler = Script()
        self.fast = False

    @property
    def server_queue(self) -> ServerQueue:
        """The queue inside the server."""
        return self.server.queues[self.queue.name]

    @property
    def states(self) -> dict[str, str]:
        """The state of each message, by its body."""
        return {stored.body: stored.state for stored in self.server_queue.messages()}

    @property
    def counts(self) -> Counter[str]:
        """The number of facts of each kind."""
        return Counter(type(fact).__name__ for fact in self.facts)

    async def send(self, bodies: Iterable[str], group: str | None = None) -> None:
        entries = [
            Outgoing(body=body, group_id=group, dedup_id=body if self.queue.fifo else None)
            for body in bodies
        ]
        assert all(isinstance(result, Sent) for result in await self.queue.send(entries))

    async def change(self, **attributes: str) -> None:
        """Set attributes of the queue."""
        await self.queue._call("SetQueueAttributes", Attributes=attributes)

    def poller(self, **options: Any) -> Poller:
        handle = options.pop("handle", self.handler)
        return Poller(
            self.queue,
            handle,
            begin=FastScript(handle).begin if self.fast else None,
            limits=Limits(**{"linger": 0.0, **options.pop("limits", {})}),
            observe=self.facts.append,
            clock=self.clock.time,
            sleep=self.clock.sleep,
            **{"retention": Retention(clock=self.clock.time), **options},
        )

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Poller]:
        """A poller that runs for the block and is stopped at its end."""
        poller = self.poller(**options)
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(poller.run())
            yield poller
            poller.stop()
            await self.pass_time(run.done)

    async def pass_time(self, condition: Callable[[], object], step: float = 1.0) -> None:
        """Advance the clock step by step until the condition holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.clock.advance(step)
                await asyncio.sleep(0.002)  # woken tasks send requests, and polls are answered
                while self.calls:  # noqa: ASYNC110 - the answers come over a socket
                    await asyncio.sleep(0.001)

    def count_calls(self) -> None:
        """Count open requests for `pass_time`: no time passes during a request."""
        call = self.queue._call

        async def counted(action: str, **request: Any) -> Any:
            if action == "ReceiveMessage":
                return await call(action, **request)
            self.calls += 1
            try:
                return await call(action, **request)
            finally:
                self.calls -= 1

        self.queue._call = counted  # type: ignore[method-assign] # observed, not replaced
