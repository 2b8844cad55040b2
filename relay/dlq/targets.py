"""Targets: where dead letters are sent, and which queue each one goes back to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.selection import Skipped

P = TypeVar("P")
"""A prepared message: what a target makes of a dead letter before it sends it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The target has it safely, so the dead letter may be deleted.

    `reference` is the target's own id for it. `remainder` says why some of its events were not
    accepted: a new dead letter has replaced it in the queue with them.
    """

    reference: str | None = None
    remainder: Skipped | None = None


Result: TypeAlias = Accepted | Skipped


class Target(Protocol[P]):
    """Where a run sends dead letters."""

    async def prepare(self, dead_letter: DeadLetter) -> P | Skipped:
        """The message to send, or why it cannot be sent. Nothing is sent.

        Raises:
            AwsError: that cannot be decided now.
        """
        ...

    async def send(self, messages: Sequence[P]) -> Sequence[Result]:
        """Send all; one result for each, in order.

        Raises:
            AwsError: the target accepts nothing more at all.
        """
        ...


class NoTarget:
    """The target of `relay dlq drop`: nothing is sent, and the backup is the only copy left."""

    async def prepare(self, dead_letter: DeadLetter) -> DeadLetter | Skipped:
        """Any dead letter can be dropped."""
        return dead_letter

    async def send(self, messages: Sequence[DeadLetter]) -> Sequence[Result]:
        """Send nothing and report all as accepted."""
        return [Accepted()] * len(messages)


def group_rounds(groups: Sequence[str | None]) -> Iterator[list[int]]:
    """Positions in rounds: the first of each message group, then the second of each, and so on."""
    left = list(range(len(groups)))
    while left:
        this_round: list[int] = []
        rest: list[int] = []
        seen: set[str | None] = set()
        for i in left:
            (rest if groups[i] in seen else this_round).append(i)
            seen.add(groups[i])
        yield this_round
        left = rest


@dataclass(frozen=True, slots=True)
class TargetQueue:
    """A queue and the most bytes that a message in it may have."""

    queue: Queue
    max_bytes: int


class Routes:
    """Finds the queue of each dead letter, and remembers what it found.

    A dead letter goes to the fixed queue if there is one; else to the queue that SQS moved it from;
    else to the source in its origin, if that queue's redrive policy names this dead-letter queue
    (anyone who may send to the dead-letter queue may write any source); else to the main queue.

    Args:
        dead: the dead-letter queue, which nothing is sent to.
        open_queue: opens a queue by ARN or name; raises `AwsError`.
        main: for dead letters without a source, and for those whose source is this queue.
        fixed: for all dead letters.
    """

    def __init__(
        self,
        dead: Queue,
        open_queue: Callable[[str], Awaitable[Queue]],
        *,
        main: Queue | None = None,
        fixed: Queue | None = None,
    ) -> None:
        self._dead = dead
        self._open = open_queue
        self._main = main
        self._fixed = fixed
        self._found: dict[str, TargetQueue | Skipped] = {}

    async def find(self, dead_letter: DeadLetter) -> TargetQueue | Skipped:
        """The queue that the dead letter goes to.

        Raises:
            AwsError: a queue does not answer now, and may later.
        """
        if self._fixed is not None:
            return await self._cached(self._fixed.arn, self._fixed)
        arn = dead_letter.message.dead_letter_source
        if arn is not None:
            return await self._cached(arn)
        if self._main is not None and dead_letter.source in (None, self._main.name):
            return await self._cached(self._main.arn, self._main)
        if dead_letter.source is None:
            return Skipped("no_route", "its source queue is unknown: name a queue with --to")
        return await self._cached(dead_letter.source)

    async def _cached(self, reference: str, queue: Queue | None = None) -> TargetQueue | Skipped:
        if reference not in self._found:
            self._found[reference] = await self._look_up(reference, queue)
        return self._found[reference]

    async def _look_up(self, reference: str, queue: Queue | None) -> TargetQueue | Skipped:
        try:
            found = queue or await self._open(reference)
            attributes = await found.attributes()
        except AwsError as error:
            # The unusual source of one dead letter must not keep the others from being sent.
            if queue is None and not error.transient:
                return Skipped("no_route", f"{error.sentence}: name another queue with --to")
            raise
        if found.arn == self._dead.arn:
            return Skipped("no_route", "it would be sent to the dead-letter queue itself")
        by_name = queue is None and not reference.startswith("arn:")
        policy = attributes.redrive
        if by_name and (policy is None or policy.target_arn != self._dead.arn):
            return Skipped(
                "no_route",
                f"its recorded source queue {found.name} does not send its dead letters here: if"
                " it is right, name it with --to",
            )
        return TargetQueue(found, attributes.maximum_size)
