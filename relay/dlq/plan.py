"""The plan of a run: what it would do with each group of dead letters. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from relay.dlq.dead_letter import DeadLetter
from relay.dlq.duplicates import Identity, identify
from relay.dlq.edit import Change, change_of
from relay.dlq.prediction import LedgerReader, LedgerState, Prediction, TraitsOf, predict
from relay.dlq.queue_target import AddressedMessage
from relay.dlq.selection import FILTERED, LIMIT, UNSELECTED, Selection, Skipped
from relay.dlq.statistics import name_of
from relay.dlq.targets import Target
from relay.model.event import Event
from relay.model.message import Message

T = TypeVar("T")

MOST_CHANGES = 3
"""Groups of which a plan shows what an edit does to one dead letter."""

_CHUNK = 100


@dataclass(slots=True)
class GroupPlan:
    """What would happen to the dead letters of one group.

    `selected` counts those that would be sent, `events` their events, and `duplicates` those that
    would only be deleted, because one with the same content is sent. `sample` has the MessageIds of
    some that would be sent, for a canary to choose from.
    """

    selected: int = 0
    events: int = 0
    duplicates: int = 0
    targets: Counter[str] = field(default_factory=Counter)
    predictions: Counter[Prediction] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    sample: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """Groups by event name and code.

    Attributes:
        groups: what would happen to each.
        reasons: a sentence for each code of what would be skipped.
        examined: messages that were read for the plan.
        unselected: those that the filters exclude, by code.
        selected: those that would be sent.
        duplicates: those with the same content as a selected one, which would only be deleted.
        not_received: messages in the queue that the plan does not cover and a run might.
        changes: what an edit does to the first ones of the first groups.
    """

    groups: dict[tuple[str, str], GroupPlan] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    examined: int = 0
    unselected: Counter[str] = field(default_factory=Counter)
    selected: int = 0
    duplicates: int = 0
    not_received: int = 0
    changes: list[Change] = field(default_factory=list)

    @property
    def skipped(self) -> Counter[str]:
        """How many would be skipped, by code."""
        return sum((group.skipped for group in self.groups.values()), Counter())

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "examined": self.examined,
            "selected": self.selected,
            "duplicates": self.duplicates,
            "not_received": self.not_received,
            "skipped": dict(self.skipped + self.unselected),
            "groups": [
                {
                    "name": name,
                    "code": code,
                    "selected": group.selected,
                    "events": group.events,
                    "duplicates": group.duplicates,
                    "targets": dict(group.targets),
                    "predictions": dict(group.predictions),
                    "skipped": dict(group.skipped),
                }
                for (name, code), group in self.largest()
            ],
            "reasons": self.reasons,
            "changes": [change.as_json() for change in self.changes],
        }

    def largest(self) -> list[tuple[tuple[str, str], GroupPlan]]:
        """The groups, the largest first."""
        return sorted(
            self.groups.items(),
            key=lambda item: (-item[1].selected, -sum(item[1].skipped.values()), item[0]),
        )


@dataclass(frozen=True, slots=True)
class _Selected:
    """A dead letter as it would be sent, the name of its target, and the group it counts in."""

    dead_letter: DeadLetter
    target: str
    group: GroupPlan


class Planner:
    """Makes a plan.

    Args:
        selection: which dead letters would be sent.
        target: where they would go; nothing is sent.
        ledger: reads the ledger; None if there is none.
        traits_of: the traits of the destinations.
        now: epoch seconds, to predict what is still deduplicated.
        began_at: when the run would begin, in epoch seconds.
        sample: how many MessageIds of each group are kept.
        target_name: the name of a target that is no queue.
    """

    def __init__(
        self,
        selection: Selection,
        target: Target[Any],
        ledger: LedgerReader | None,
        traits_of: TraitsOf,
        *,
        now: float,
        began_at: float,
        sample: int = 0,
        target_name: str = "",
    ) -> None:
        self._selection = selection
        self._target = target
        self._ledger = ledger
        self._traits_of = traits_of
        self._now = now
        self._began_at = began_at
        self._sample = sample
        self._target_name = target_name
        self._seen: set[Identity] = set()
        self._plan = Plan()

    async def plan(self, messages: Iterable[Message]) -> Plan:
        """What a run over these messages would do.

        Raises:
            AwsError: that cannot be decided now.
        """
        for some in _chunks(messages, _CHUNK):
            matching = [one for one in some if self._may_match(one)]
            examined = [await self._examine(await self._selection.read(one)) for one in matching]
            await self._predict([one for one in examined if one is not None])
            await asyncio.sleep(0)  # a large snapshot must not keep other tasks from running
        return self._plan

    def _may_match(self, message: Message) -> bool:
        """Whether it must be read to find out; it is counted if not."""
        known = self._selection.matching
        if known is None or message.message_id in known:
            return True
        self._plan.examined += 1
        self._plan.unselected[FILTERED] += 1
        return False

    async def _examine(self, dead_letter: DeadLetter) -> _Selected | None:
        """The dead letter as it would be sent; None if it would not."""
        self._plan.examined += 1
        skipped = self._selection.skip_reason(dead_letter, self._began_at)
        if skipped is not None and skipped.code in UNSELECTED:
            self._plan.unselected[skipped.code] += 1
            return None
        identity = identify(dead_letter)
        duplicate = not self._selection.every_message and identity in self._seen
        if skipped is None and duplicate:
            self._plan.duplicates += 1
            self._group(dead_letter).duplicates += 1
            return None
        group = self._group(dead_letter)
        selected = skipped or await self._prepare(dead_letter, group)
        if isinstance(selected, Skipped):
            group.skipped[selected.code] += 1
            self._plan.reasons.setdefault(selected.code, selected.reason)
            return None
        self._seen.add(identity)
        self._count(group, dead_letter)
        return selected

    def _group(self, dead_letter: DeadLetter) -> GroupPlan:
        key = (name_of(dead_letter), dead_letter.code)
        return self._plan.groups.setdefault(key, GroupPlan())

    async def _prepare(self, dead_letter: DeadLetter, group: GroupPlan) -> _Selected | Skipped:
        modified = self._selection.modify(dead_letter)
        if isinstance(modified, Skipped):
            return modified
        failing = await self._selection.failing(modified)
        if failing is not None:
            return failing
        self._note_change(dead_letter, modified, group)
        outgoing = await self._target.prepare(modified)
        if isinstance(outgoing, Skipped):
            return outgoing
        if self._limit_reached():
            return Skipped(LIMIT, "the limit was reached")
        is_queue = isinstance(outgoing, AddressedMessage)
        target = outgoing.target.queue.name if is_queue else self._target_name
        return _Selected(modified, target, group)

    def _note_change(self, dead_letter: DeadLetter, modified: DeadLetter, group: GroupPlan) -> None:
        changes = self._plan.changes
        if _is_edited(dead_letter, modified) and not group.selected and len(changes) < MOST_CHANGES:
            changes.append(change_of(dead_letter, modified))

    def _limit_reached(self) -> bool:
        limit = self._selection.limit
        return limit is not None and self._plan.selected >= limit

    def _count(self, group: GroupPlan, dead_letter: DeadLetter) -> None:
        self._plan.selected += 1
        group.selected += 1
        group.events += len(dead_letter.events)
        if len(group.sample) < self._sample:
            group.sample.append(dead_letter.message.message_id)

    async def _predict(self, selected: Sequence[_Selected]) -> None:
        events = [event for one in selected for event in one.dead_letter.events]
        states = iter(await self._look_up(events))
        for one in selected:
            mine = list(islice(states, len(one.dead_letter.events)))
            known = mine if self._ledger is not None else None
            prediction = predict(one.dead_letter, known, self._now, self._traits_of)
            one.group.targets[one.target] += 1
            one.group.predictions[prediction] += 1

    async def _look_up(self, events: Sequence[Event]) -> Sequence[LedgerState | None]:
        if self._ledger is None or not events:
            return [None] * len(events)
        return await self._ledger.look_up(events)


def _is_edited(before: DeadLetter, after: DeadLetter) -> bool:
    """Whether an edit was applied, even one that changes nothing; a rerun alone is none."""
    generations = [one.origin.generation if one.origin else 0 for one in (before, after)]
    rerun = generations[0] != generations[1]
    return before.message.body != after.message.body or (after.modified and not rerun)


def _chunks(items: Iterable[T], size: int) -> Iterable[list[T]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk
