"""The road to a queue: batches by bytes, each entry's own result, order within groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from relay.aws.values import Failed, Outgoing, Sent
from relay.dlq.letter import Letter
from relay.dlq.readdress import readdress
from relay.dlq.roads import Carried, Result
from relay.dlq.routes import Target
from relay.dlq.stays import BLOCKED, Stays
from relay.dlq.waves import waves
from relay.publishing.publisher import Publisher


@dataclass(frozen=True, slots=True)
class Load:
    """A message and the queue that it goes to."""

    target: Target
    message: Outgoing


class QueueRoad:
    """Sends each letter to the queue that `route` tells; `run` is the id of the run.

    Of a FIFO queue a batch holds one message of a group: of several SQS may take a later one and
    refuse an earlier one, and then their order is lost.
    """

    def __init__(
        self,
        route: Callable[[Letter], Awaitable[Target | Stays]],
        run: str,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._route = route
        self._run = run
        self._sleep = sleep
        self._publishers: dict[str, Publisher] = {}

    async def ready(self, letter: Letter) -> Load | Stays:
        """The message that would be sent."""
        target = await self._route(letter)
        if isinstance(target, Stays):
            return target
        message = readdress(
            letter, fifo=target.queue.fifo, run=self._run, max_bytes=target.max_bytes
        )
        return message if isinstance(message, Stays) else Load(target, message)

    async def carry(self, loads: Sequence[Load]) -> Sequence[Result]:
        """Send all, again what SQS refuses for now."""
        results: list[Result] = [BLOCKED] * len(loads)
        for arn in dict.fromkeys(load.target.queue.arn for load in loads):
            mine = [i for i, load in enumerate(loads) if load.target.queue.arn == arn]
            for i, result in zip(mine, await self._send([loads[i] for i in mine]), strict=True):
                results[i] = result
        return results

    async def _send(self, loads: Sequence[Load]) -> list[Result]:
        """Loads of one queue, in order."""
        queue = loads[0].target.queue
        publisher = self._publishers.get(queue.arn)
        if publisher is None:
            publisher = self._publishers[queue.arn] = Publisher(queue, sleep=self._sleep)
        results: list[Result] = [BLOCKED] * len(loads)
        every = list(range(len(loads)))
        blocked: set[str | None] = set()
        for wave in waves([load.message.group_id for load in loads]) if queue.fifo else [every]:
            free = [i for i in wave if loads[i].message.group_id not in blocked]
            answers = await publisher.publish([loads[i].message for i in free])
            for i, answer in zip(free, answers, strict=True):
                results[i] = _result(answer)
                if queue.fifo and isinstance(answer, Failed):
                    blocked.add(loads[i].message.group_id)
            if publisher.stopped is not None:
                if not any(isinstance(result, Carried) for result in results):
                    raise publisher.stopped
                break
        return results


def _result(answer: Sent | Failed) -> Result:
    if isinstance(answer, Sent):
        return Carried(answer.message_id)
    return Stays("not_sent", answer.sentence)
