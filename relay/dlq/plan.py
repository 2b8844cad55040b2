"""The plan: what a run would do to each group of letters, found out without touching any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from relay.dlq.dead_letter import DeadLetter
from relay.dlq.duplicates import Identity, identify
from relay.dlq.prediction import LedgerReader, LedgerState, Prediction, Promised, predict
from relay.dlq.queue_target import AddressedMessage
from relay.dlq.selection import FILTERED, LIMIT, Selection, Skipped
from relay.dlq.statistics import name_of
from relay.dlq.targets import Target
from relay.model.event import Event
from relay.model.message import Message

T = TypeVar("T")

_AT_ONCE = 100


@dataclass(slots=True)
class Part:
    """What would become of the letters of one group.

    `first` are the MessageIds of a few that would go, for a canary to choose from.
    """

    goes: int = 0
    events: int = 0
    targets: Counter[str] = field(default_factory=Counter)
    fates: Counter[Prediction] = field(default_factory=Counter)
    stays: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """Parts by event name and code.

    `copies` are letters that say what another one says. `unseen` counts what a run would meet
    besides.
    """

    parts: dict[tuple[str, str], Part] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    met: int = 0
    goes: int = 0
    copies: int = 0
    unseen: int = 0

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "met": self.met,
            "goes": self.goes,
            "copies": self.copies,
            "unseen": self.unseen,
            "groups": [
                {
                    "name": name,
                    "code": code,
                    "goes": part.goes,
                    "events": part.events,
                    "to": dict(part.targets),
                    "fates": dict(part.fates),
                    "stays": dict(part.stays),
                }
                for (name, code), part in self.largest()
            ],
            "reasons": self.reasons,
        }

    def largest(self) -> list[tuple[tuple[str, str], Part]]:
        """The parts, the largest first."""
        return sorted(self.parts.items(), key=lambda item: (-item[1].goes, item[0]))


@dataclass(frozen=True, slots=True)
class _Going:
    """A letter as it would go, where to, and the part that it is counted in."""

    letter: DeadLetter
    target: str
    part: Part


class Planner:
    """Makes a plan.

    Args:
        errand: what would be asked for.
        road: where letters would go; nothing is carried.
        memory: the ledger, None where there is none.
        promised: what the destinations promise.
        now: epoch seconds, to judge by what is still remembered.
        began_at: when the run would begin.
        sample: how many MessageIds of each group are kept.
        elsewhere: what a road that leads to no queue is called.
    """

    def __init__(
        self,
        selection: Selection,
        road: Target[Any],
        memory: LedgerReader | None,
        promised: Promised,
        *,
        now: float,
        began_at: float,
        sample: int = 0,
        elsewhere: str = "",
    ) -> None:
        self._errand = selection
        self._road = road
        self._memory = memory
        self._promised = promised
        self._now = now
        self._began_at = began_at
        self._sample = sample
        self._elsewhere = elsewhere
        self._met: set[tuple[str, str]] = set()
        self._plan = Plan()

    async def plan(self, messages: Iterable[Message]) -> Plan:
        """What a run over these messages would do.

        Raises:
            AwsError: that cannot be told now.
        """
        for some in _chunks(messages, _AT_ONCE):
            found = [await self._judge(await self._errand.read(message)) for message in some]
            await self._foretell([going for going in found if going is not None])
        return self._plan

    async def _judge(self, letter: DeadLetter) -> _Going | None:
        """The letter as it would go; None where it stays."""
        self._plan.met += 1
        stays = self._errand.choose(letter, self._began_at)
        if stays is not None and stays.code == FILTERED:
            return None
        identity = identify(letter)
        if stays is None and not self._errand.each and self._is_copy(identity):
            self._plan.copies += 1
            return None
        part = self._plan.parts.setdefault((name_of(letter), letter.code), Part())
        going = stays or await self._ready(letter, part)
        if isinstance(going, Skipped):
            part.stays[going.code] += 1
            self._plan.reasons.setdefault(going.code, going.reason)
            return None
        self._met.add((identity.about, identity.text))
        self._count(part, letter)
        return going

    async def _ready(self, letter: DeadLetter, part: Part) -> _Going | Skipped:
        altered = self._errand.modify(letter)
        if isinstance(altered, Skipped):
            return altered
        load = await self._road.ready(altered)
        if isinstance(load, Skipped):
            return load
        if self._full():
            return Skipped(LIMIT, "the limit was reached")
        target = load.target.queue.name if isinstance(load, AddressedMessage) else self._elsewhere
        return _Going(altered, target, part)

    def _is_copy(self, identity: Identity) -> bool:
        return (identity.about, identity.text) in self._met

    def _full(self) -> bool:
        limit = self._errand.limit
        return limit is not None and self._plan.goes >= limit

    def _count(self, part: Part, letter: DeadLetter) -> None:
        self._plan.goes += 1
        part.goes += 1
        part.events += len(letter.events)
        if len(part.first) < self._sample:
            part.first.append(letter.message.message_id)

    async def _foretell(self, going: Sequence[_Going]) -> None:
        events = [event for one in going for event in one.letter.events]
        known = iter(await self._recall(events))
        for one in going:
            mine = list(islice(known, len(one.letter.events)))
            told = mine if self._memory is not None else None
            one.part.targets[one.target] += 1
            one.part.fates[predict(one.letter, told, self._now, self._promised)] += 1

    async def _recall(self, events: Sequence[Event]) -> Sequence[LedgerState | None]:
        if self._memory is None or not events:
            return [None] * len(events)
        return await self._memory.look_up(events)


def _chunks(items: Iterable[T], size: int) -> Iterable[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
