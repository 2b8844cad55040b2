"""The books: what was published, what ran, and what lies in the dead-letter queue, by event id."""

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
    """The reconciled books. Counts are of events by id, except `published`, which counts each copy.

    `unexplained` are sentences, one for each thing that the promise does not allow. `out_of_order`
    is None where no order was promised.
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

    @property
    def consistent(self) -> bool:
        """Whether every event is where it belongs, once."""
        return (
            not (self.lost or self.ran_twice or self.in_queue or self.out_of_order)
            and not self.unexplained
            and self.unique == self.ran + self.dead_lettered
        )

    def summary(self, seconds: float) -> str:
        """One line of JSON for machines."""
        names = ("published", "unique", "ran", "dead_lettered", "lost", "ran_twice", "in_queue")
        counts = {name: getattr(self, name) for name in names}
        return json.dumps({**counts, "seconds": round(seconds, 1)})


@dataclass(slots=True)
class Published:
    """The publisher's own record: which ids must run and which must die. Nobody else writes it."""

    runs: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    groups: dict[str, list[list[str]]] = field(default_factory=dict)

    def add(self, publication: SampleMessage, message_id: str) -> None:
        """Record a message that SQS has accepted under this id."""
        self.kinds[publication.kind] += 1
        ids = [name(message_id) for name in publication.runs]
        self.runs.update(ids)
        self.groups.setdefault(publication.group or "", []).append(ids)
        for name in publication.rejected:
            self.rejected[name(message_id)] = publication.code or ""

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
    """Hold three independent records against each other, and each group's order if `ordered`."""
    stored = list(stored)
    accepted = {event.id: event.name for event in stored}
    letters = dict(_dead_ids(dead))
    ran, died = set(accepted), set(letters)
    complaints = [
        *(f"{i} was accepted and never published" for i in ran - published.unique),
        *(f"{i} is poison and was accepted" for i in ran & set(published.rejected)),
        *(f"{i} was accepted and is a dead letter too" for i in ran & died),
        *(f"{i} is a dead letter for {letters[i]}" for i in died & set(published.runs)),
        *_wrong_codes(published, letters),
    ]
    return Reconciliation(
        published=published.runs.total() + len(published.rejected),
        unique=len(published.unique),
        ran=len(ran & published.unique),
        dead_lettered=len(died & published.unique),
        lost=len(published.unique - ran - died) + _never_ran(accepted, runs, functions),
        ran_twice=_ran_twice(runs, functions),
        in_queue=in_queue,
        out_of_order=_out_of_order(published, stored) if ordered else None,
        codes=Counter(letters.values()),
        kinds=published.kinds,
        unexplained=tuple(sorted(complaints)),
    )


def _dead_ids(dead: Iterable[Stored]) -> Iterator[tuple[str, str]]:
    """The event ids in the dead-letter queue with their codes, read without the relay's help."""
    for letter in dead:
        packed = letter.attributes.get(ATTRIBUTE)
        past = json.loads(packed.string_value or "{}") if packed else {}
        base, code = past.get("id", letter.message_id), past.get("code", "moved-by-sqs")
        positions = past.get("pending")
        yield from (
            ((base, code),)
            if positions is None
            else ((f"{base}.{position}", code) for position in positions)
        )


def _wrong_codes(published: Published, letters: Mapping[str, str]) -> Iterator[str]:
    for event_id, code in published.rejected.items():
        found = letters.get(event_id)
        if found is not None and found != code:
            yield f"{event_id} was rejected as {found}, not as {code}"


def _never_ran(
    accepted: Mapping[str, str], runs: Iterable[Run], functions: Iterable[Function]
) -> int:
    """Accepted events that a function listened to and never ran."""
    done = {(run.function, run.event_id) for run in runs}
    return sum(
        (function.name, event_id) not in done
        for event_id, name in accepted.items()
        for function in functions
        if function.listens_to(name)
    )


def _ran_twice(runs: Iterable[Run], functions: Iterable[Function]) -> int:
    """Functions that ran an id again; those that ignore ids are not promised anything."""
    promised = {function.name for function in functions if not function.batched}
    times = Counter((run.function, run.event_id) for run in runs if run.function in promised)
    return sum(count - 1 for count in times.values())


def _out_of_order(published: Published, stored: Iterable[StoredEvent]) -> int:
    """Messages of which an event was accepted before one of the message before, in their group.

    What counts is each id's first acceptance. An id that was published twice belongs to no group,
    and the events of one message have no order among themselves.
    """
    first: dict[str, int] = {}
    for position, event in enumerate(stored):
        first.setdefault(event.id, position)
    wrong = 0
    for messages in published.groups.values():
        places = [
            [first[i] for i in ids if published.runs[i] == 1 and i in first] for ids in messages
        ]
        wrong += sum(min(later) < max(earlier) for earlier, later in pairwise(filter(None, places)))
    return wrong
