"""SQS without sockets: the local server's queues, called by the relay's and sqsd's clients."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from relay.aws.errors import error_from_response
from relay.aws.json_protocol import JsonClient
from relay.aws.sqs import Queue
from relay.local.clock import START
from relay.local.sqs.account import Account
from relay.local.sqs.actions import ACTIONS
from relay.local.sqs.actions.call import Call
from relay.local.sqs.errors import SqsError
from relay.local.sqs.faults import NO_FAULT
from relay.local.sqs.moves import MoveTasks
from relay.local.sqs.queue import Queue as ServerQueue
from relay.local.sqsd.queue import Queue as SqsdQueue
from relay.local.sqsd.queue import QueueError

LATENCY = 0.01


class LoopClock:
    """The time of day on the running loop's clock."""

    def time(self) -> float:
        return START + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class MemorySqs:
    """An SQS account in memory whose queues are called without a network."""

    def __init__(self, clock: LoopClock) -> None:
        self.account = Account("000000000000", "us-east-1", clock=clock)
        self.account.url = "http://sqs"
        self.requests: Counter[str] = Counter()
        self._moves = MoveTasks(self.account)

    def queue(self, name: str, **attributes: object) -> ServerQueue:
        wanted = {key: str(value) for key, value in attributes.items()}
        return self.account.create(name, wanted, {})

    async def call(self, action: str, request: Mapping[str, Any]) -> Any:
        """One request and its answer, encoded and decoded as on the wire.

        Raises:
            SqsError: it is refused.
        """
        self.requests[action] += 1
        await asyncio.sleep(LATENCY)
        call = Call(self.account, self._moves, NO_FAULT)
        answer = ACTIONS[action](call, msgspec.json.encode(request))
        if inspect.isawaitable(answer):
            answer = await answer
        return msgspec.json.decode(msgspec.json.encode(answer or {}))

    def client(self, queue: ServerQueue) -> Queue:
        """The relay's client of a queue."""
        return Queue(_MemoryWire(self), self.account.url_of(queue), queue.arn)

    def sqsd(self, queue: ServerQueue) -> SqsdQueue:
        """sqsd's client of a queue."""
        return _MemorySqsdQueue(self, self.account.url_of(queue))


class _MemoryWire(JsonClient):
    def __init__(self, sqs: MemorySqs) -> None:
        self._sqs = sqs

    async def call(self, action: str, request: Mapping[str, Any], about: str) -> Any:
        try:
            return await self._sqs.call(action, request)
        except SqsError as error:
            raise error_from_response(
                error.code, error.message, error.status, action, about
            ) from error


class _MemorySqsdQueue(SqsdQueue):
    def __init__(self, sqs: MemorySqs, url: str) -> None:
        super().__init__(url, endpoint_url="http://sqs", region="us-east-1", polls=1)
        self._sqs = sqs

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def _call(self, action: str, **arguments: Any) -> Mapping[str, Any]:
        name = "".join(word.capitalize() for word in action.split("_"))
        try:
            answer: Mapping[str, Any] = await self._sqs.call(
                name, {"QueueUrl": self.url} | arguments
            )
        except SqsError as error:
            raise QueueError(f"{name}: {error.code}") from error
        return answer
