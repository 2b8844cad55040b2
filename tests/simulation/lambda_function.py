"""Lambda on virtual time: the local event source's queue, and a function without processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Self

from relay.local.lambda_events import Answer, FaultScript, FunctionError, Throttled
from relay.local.lambda_events.queue import QueueError
from relay.local.sqs.errors import SqsError
from relay.local.sqs.queue import Queue as ServerQueue
from relay.settings import clocks
from relay.sources.lambda_batch import LambdaBatch
from relay.sources.lambda_event import InvocationFailed, read_event
from tests.simulation.memory_sqs import MemorySqs


class VirtualQueue:
    """The event source's client of a queue in memory."""

    def __init__(self, sqs: MemorySqs, queue: ServerQueue) -> None:
        self._sqs = sqs
        self._url = sqs.account.url_of(queue)
        self.arn = queue.arn
        self.visibility = float(queue.attributes.visibility)

    async def receive(self, count: int, wait: int) -> Sequence[dict[str, Any]]:
        answer = await self._call(
            "ReceiveMessage",
            MaxNumberOfMessages=count,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        found: Sequence[dict[str, Any]] = answer.get("Messages", ())
        return found

    async def delete(self, handles: Sequence[str]) -> None:
        entries = [{"Id": str(n), "ReceiptHandle": one} for n, one in enumerate(handles)]
        await self._call("DeleteMessageBatch", Entries=entries)

    async def _call(self, action: str, **request: Any) -> Any:
        try:
            return await self._sqs.call(action, {"QueueUrl": self._url, **request})
        except SqsError as error:
            raise QueueError(error.code) from error


class VirtualFunction:
    """Environments as coroutines: each handles one invocation at a time, idle ones are used again.

    A fault `kill` or `time-out` ends the invocation at its time, and its environment with it.
    """

    def __init__(
        self,
        environment: Callable[[], AbstractAsyncContextManager[LambdaBatch]],
        faults: FaultScript,
    ) -> None:
        self._environment = environment
        self._faults = faults
        self._idle: list[tuple[LambdaBatch, AsyncExitStack]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for _, stack in self._idle:
            await stack.aclose()

    async def invoke(self, event: bytes) -> Answer | FunctionError:
        fault = self._faults.take()
        kind = fault.kind if fault is not None else ""
        if kind == "throttle":
            raise Throttled
        batches, stack = await self._take()
        limit = clocks.LAMBDA_TIMEOUT
        if fault is not None and kind in ("kill", "time-out"):
            limit = fault.after
        try:
            async with asyncio.timeout(limit):
                response = await batches.run(read_event(json.loads(event)), clocks.LAMBDA_TIMEOUT)
        except TimeoutError:
            await stack.aclose()
            return FunctionError("Sandbox.Timedout")
        except InvocationFailed as error:
            self._idle.append((batches, stack))
            return FunctionError(type(error).__name__, str(error))
        except BaseException:
            await stack.aclose()
            raise
        if kind == "lose-answer":
            await stack.aclose()
            return FunctionError("Runtime.ExitError")
        self._idle.append((batches, stack))
        return Answer(json.dumps(response).encode())

    async def _take(self) -> tuple[LambdaBatch, AsyncExitStack]:
        if self._idle:
            return self._idle.pop()
        stack = AsyncExitStack()
        return await stack.enter_async_context(self._environment()), stack
