"""Reconciles what was published with what ran and what was dead-lettered, by event id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from relay.local.demo.samples import SampleMessage
from relay.local.inngest import Function, Run, StoredEvent
from relay.local.sqs import Stored
from relay.model.origin import ATTRIBUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The result. Counts are of events by id, except `published`, which counts each copy.

    `unexplained` has a sentence for each finding that the delivery guarantee does not allow.
    `out_of_order` is None if no order was guaranteed. With a gateway, `unconfirmed` counts the
    events whose sender was told that they are not known to be in the queue, and `unconfirmed_ran`
    those of them that ran.
    """

    published: int
    unique: int
    ran: int
    dead_lettered: int
    lost: int
    ran_twice: int
    in_queue: int
    out_of_order: int | None
    codes: Mapping[str, int]
    kinds: Mapping[str, int]
    unexplained: tuple[str, ...] = ()
    unconfirmed: int | None = None
    unconfirmed_ran: int | None = None

    @property
    def consistent(self) -> bool:
        """Whether every event either ran once or was dead-lettered, as expected."""
        return (
            not (self.lost or self.ran_twice or self.in_queue or self.out_of_order)
            and not self.unexplained
            and self.unique == self.ran + self.dead_lettered
        )

    def summary(self, seconds: float) -> str:
        """One line of JSON."""
        names = ("published", "unique", "ran", "dead_lettered", "lost", "ran_twice", "in_queue")
        counts = {name: getattr(self, name) for name in names}
        if self.unconfirmed is not None:
            counts |= {"unconfirmed": self.unconfirmed, "unconfirmed_ran": self.unconfirmed_ran}
        return json.dumps({"type": "demo", **counts, "seconds": round(seconds, 1)})


@dataclass(slots=True)
class Published:
    """The publisher's record: the ids that must run, and those that must be dead-lettered.

    `runs` counts the copies of each id, `rejected` has the expected code. Only the publisher writes
    here.
    """

    runs: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    groups: dict[str, list[list[str]]] = field(default_factory=dict)

    def add(self, message: SampleMessage, message_id: str) -> None:
        """Record a message that SQS has accepted under this id."""
        self.kinds[message.kind] += 1
        ids = [name(message_id) for name in message.runs]
        self.runs.update(ids)
        self.groups.setdefault(message.group or "", []).append(ids)
        for name in message.rejected:
            self.rejected[name(message_id)] = message.code or ""

    @property
    def unique(self) -> set[str]:
        """Every event id that was published."""
        return {*self.runs, *self.rejected}


def reconcile(
    published: Published,
    stored: Iterable[StoredEvent],
    runs: Iterable[Run],
    functions: Iterable[Function],
    dead: Iterable[Stored],
    in_queue: int,
    *,
    ordered: bool = False,
) -> Reconciliation:
    """Compare three independent records: published, run, dead-lettered.

    With `ordered`, also check the order within each message group.
    """
    stored = list(stored)
    accepted = {event.id: event.name for event in stored}
    dead_codes = dict(_dead_events(dead))
    ran, rejected = set(accepted), set(dead_codes)
    violations = [
        *(f"{i} was accepted and never published" for i in ran - published.unique),
        *(f"{i} is poison and was accepted" for i in ran & set(published.rejected)),
        *(f"{i} was accepted and is a dead letter too" for i in ran & rejected),
        *(f"{i} is a dead letter for {dead_codes[i]}" for i in rejected & set(published.runs)),
        *_wrong_codes(published, dead_codes),
    ]
    return Reconciliation(
        published=published.runs.total() + len(published.rejected),
        unique=len(published.unique),
        ran=len(ran & published.unique),
        dead_lettered=len(rejected & published.unique),
        lost=len(published.unique - ran - rejected) + _never_ran(accepted, runs, functions),
        ran_twice=_ran_twice(runs, functions),
        in_queue=in_queue,
        out_of_order=_out_of_order(published, stored) if ordered else None,
        codes=Counter(dead_codes.values()),
        kinds=published.kinds,
        unexplained=tuple(sorted(violations)),
    )


def _dead_events(dead: Iterable[Stored]) -> Iterator[tuple[str, str]]:
    """The event ids in the dead-letter queue with their codes, read without the relay's code."""
    for message in dead:
        packed = message.attributes.get(ATTRIBUTE)
        origin = json.loads(packed.string_value or "{}") if packed else {}
        base, code = origin.get("id", message.message_id), origin.get("code", "moved-by-sqs")
        positions = origin.get("pending")
        yield from (
            ((base, code),)
            if positions is None
            else ((f"{base}.{position}", code) for position in positions)
        )


def _wrong_codes(published: Published, dead_codes: Mapping[str, str]) -> Iterator[str]:
    for event_id, code in published.rejected.items():
        found = dead_codes.get(event_id)
        if found is not None and found != code:
            yield f"{event_id} was rejected as {found}, not as {code}"


def _never_ran(
    accepted: Mapping[str, str], runs: Iterable[Run], functions: Iterable[Function]
) -> int:
    """Accepted events, by function, that the function listens to and never ran."""
    done = {(run.function, run.event_id) for run in runs}
    return sum(
        (function.name, event_id) not in done
        for event_id, name in accepted.items()
        for function in functions
        if function.listens_to(name)
    )


def _ran_twice(runs: Iterable[Run], functions: Iterable[Function]) -> int:
    """Repeated runs of an id by one function. Batched functions ignore ids and do not count."""
    deduplicating = {function.name for function in functions if not function.batched}
    times = Counter((run.function, run.event_id) for run in runs if run.function in deduplicating)
    return sum(count - 1 for count in times.values())


def _out_of_order(published: Published, stored: Iterable[StoredEvent]) -> int:
    """Messages with an event that was accepted before an event of the group's previous message.

    Only the first acceptance of each id counts. An id that was published twice is left out, and the
    events of one message have no order among themselves.
    """
    first: dict[str, int] = {}
    for position, event in enumerate(stored):
        first.setdefault(event.id, position)
    wrong = 0
    for messages in published.groups.values():
        positions = [
            [first[i] for i in ids if published.runs[i] == 1 and i in first] for ids in messages
        ]
        accepted = filter(None, positions)
        wrong += sum(min(later) < max(earlier) for earlier, later in pairwise(accepted))
    return wrong
