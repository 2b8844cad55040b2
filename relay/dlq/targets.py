"""Routes: which queue each letter goes back to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.selection import Skipped


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is safely there, so the dead letter may be deleted. `reference` is its name there.

    `rest` says why some of its events are not: they are a new dead letter in its place.
    """

    reference: str | None = None
    rest: Skipped | None = None


Result: TypeAlias = Accepted | Skipped
L = TypeVar("L")


class Target(Protocol[L]):
    """The seam between a run and where letters go."""

    async def ready(self, letter: DeadLetter) -> L | Skipped:
        """The letter as it would go, or why it cannot. Nothing is sent.

        Raises:
            AwsError: that cannot be told now.
        """
        ...

    async def carry(self, loads: Sequence[L]) -> Sequence[Result]:
        """Bring all there; one result for each, in order.

        Raises:
            AwsError: no more can be brought there at all.
        """
        ...


class NoTarget:
    """The road of letters that are dropped: they go nowhere, and their backup is what remains."""

    async def ready(self, letter: DeadLetter) -> DeadLetter | Skipped:
        """Anything can go nowhere."""
        return letter

    async def carry(self, loads: Sequence[DeadLetter]) -> Sequence[Result]:
        """Nothing is sent."""
        return [Accepted()] * len(loads)


def group_rounds(groups: Sequence[str | None]) -> Iterator[list[int]]:
    """Positions: the first of each group, then the second of each, and so on."""
    left = list(range(len(groups)))
    while left:
        wave: list[int] = []
        rest: list[int] = []
        met: set[str | None] = set()
        for i in left:
            (rest if groups[i] in met else wave).append(i)
            met.add(groups[i])
        yield wave
        left = rest


@dataclass(frozen=True, slots=True)
class TargetQueue:
    """A queue and the most bytes that a message of it may have."""

    queue: Queue
    max_bytes: int


class Routes:
    """Finds targets and remembers them.

    A letter goes to the queue that is named for all; else to the one that SQS moved it from; else
    to the one that the relay noted, if its redrive policy names this dead-letter queue (whoever may
    send there may note what they like); else to the main queue.

    Args:
        dead: the dead-letter queue, which nothing is sent to.
        open_queue: opens a queue by ARN or name; raises `AwsError`.
        main: where letters go that do not tell, and what is sure to be theirs.
        fixed: the one for all.
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
        self._known: dict[str, TargetQueue | Skipped] = {}

    async def of(self, letter: DeadLetter) -> TargetQueue | Skipped:
        """Where the letter goes.

        Raises:
            AwsError: a queue cannot be asked now, and may be later.
        """
        if self._fixed is not None:
            return await self._to(self._fixed.arn, self._fixed)
        arn = letter.message.dead_letter_source
        if arn is not None:
            return await self._to(arn)
        if self._main is not None and letter.source in (None, self._main.name):
            return await self._to(self._main.arn, self._main)
        if letter.source is None:
            return Skipped("no_route", "nothing tells which queue it is from: name one with --to")
        return await self._to(letter.source)

    async def _to(self, reference: str, queue: Queue | None = None) -> TargetQueue | Skipped:
        if reference not in self._known:
            self._known[reference] = await self._find(reference, queue)
        return self._known[reference]

    async def _find(self, reference: str, queue: Queue | None) -> TargetQueue | Skipped:
        try:
            found = queue or await self._open(reference)
            attributes = await found.attributes()
        except AwsError as error:
            # One letter's odd source must not keep the others from going.
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
                f"the noted queue {found.name} does not send its dead letters here: if it is right,"
                " name it with --to",
            )
        return TargetQueue(found, attributes.maximum_size)
