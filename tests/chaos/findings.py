"""The judge: trusts the publisher's list, the orchestrator's runs and the queues, and no relay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from relay.local.demo.reconciliation import Published
from relay.local.inngest import Function, Run, StoredEvent
from relay.local.sqs import Stored

ORIGIN = "relay-origin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of every event. The first three must be empty, the counts are for the table.

    `repeats` counts what functions ran again that ignore ids: reported, not promised.
    """

    lost: tuple[str, ...]
    ran_twice: tuple[str, ...]
    unexplained: tuple[str, ...]
    published: int
    ran: int
    dead: int
    repeats: int

    @property
    def clean(self) -> bool:
        return not (self.lost or self.ran_twice or self.unexplained)

    def complaints(self) -> Iterator[str]:
        """A line for each thing that the promise does not allow."""
        for kind in ("lost", "ran_twice", "unexplained"):
            yield from (f"{kind}: {what}" for what in getattr(self, kind))


@dataclass(frozen=True, slots=True)
class Letter:
    """An event in the dead-letter queue."""

    event_id: str
    code: str
    may_have_run: bool


def judge(
    published: Published,
    stored: Sequence[StoredEvent],
    runs: Sequence[Run],
    functions: Sequence[Function],
    letters: Iterable[Stored],
    left: int,
    excuses: Mapping[str, set[str]],
) -> Verdict:
    """Hold the records against each other.

    Args:
        excuses: codes for which an honest event may be a dead letter, by its id.
    """
    dead = {
        letter.event_id: letter
        for message in letters
        for letter in letters_in(message, published.unique)
    }
    accepted = {event.id: event.name for event in stored}
    missing = {
        f"{event_id} never ran in {function}"
        for event_id, function in _unrun(accepted, runs, functions)
        if event_id not in dead
    }
    gone = set(published.runs) - set(accepted) - set(dead)
    lost = {f"{event_id} is nowhere" for event_id in gone}
    twice = _again(runs, {function.name for function in functions if not function.batched})
    return Verdict(
        lost=tuple(sorted(lost | missing)),
        ran_twice=tuple(sorted(twice.elements())),
        unexplained=tuple(sorted(_unexplained(published, accepted, dead, left, excuses))),
        published=len(published.unique),
        ran=len(set(accepted) & published.unique),
        dead=len(set(dead) & published.unique),
        repeats=_again(runs, {f.name for f in functions if f.batched}).total(),
    )


def letters_in(message: Stored, known: set[str]) -> Iterator[Letter]:
    """The events that a dead letter stands for, read without the relay's help.

    An event that its producer named goes by that name, where the name is a `known` one.
    """
    packed = message.attributes.get(ORIGIN)
    past = json.loads(packed.string_value or "{}") if packed else {}
    base, code = past.get("id", message.message_id), past.get("code", "moved by SQS")
    doubtful = bool(past.get("may_have_run"))
    pending = past.get("pending")
    names = [base] if pending is None else [f"{base}.{position}" for position in pending]
    own = _own_ids(message.body)
    for name in names:
        named = own.get(name.removeprefix(base), name)
        yield Letter(named if named in known else name, code, doubtful)


def _own_ids(body: str) -> dict[str, str]:
    """Ids that the producer gave, by what follows the base id of its message."""
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    if isinstance(read, list):
        found = {f".{n}": one.get("id") for n, one in enumerate(read) if isinstance(one, dict)}
    else:
        found = {"": read.get("id") if isinstance(read, dict) and "name" in read else None}
    return {suffix: own for suffix, own in found.items() if isinstance(own, str)}


def _unrun(
    accepted: Mapping[str, str], runs: Sequence[Run], functions: Sequence[Function]
) -> Iterator[tuple[str, str]]:
    done = {(run.function, run.event_id) for run in runs}
    for event_id, name in accepted.items():
        for function in functions:
            if function.listens_to(name) and (function.name, event_id) not in done:
                yield event_id, function.name


def _again(runs: Sequence[Run], functions: set[str]) -> Counter[str]:
    times = Counter(
        f"{run.event_id} in {run.function}" for run in runs if run.function in functions
    )
    return Counter({name: count - 1 for name, count in times.items() if count > 1})


def _unexplained(
    published: Published,
    accepted: Mapping[str, str],
    dead: Mapping[str, Letter],
    left: int,
    excuses: Mapping[str, set[str]],
) -> Iterator[str]:
    if left:
        yield f"{left} messages are left in the queue"
    for event_id in accepted.keys() - published.unique:
        yield f"{event_id} was accepted and never published"
    for event_id in accepted.keys() & published.rejected.keys():
        yield f"{event_id} is poison and was accepted"
    for event_id in published.rejected.keys() - dead.keys():
        yield f"{event_id} is poison and no dead letter"
    for event_id, letter in dead.items():
        yield from _about(letter, event_id in accepted, published, excuses.get(event_id, set()))


def _about(
    letter: Letter, accepted: bool, published: Published, excused: set[str]
) -> Iterator[str]:
    name, code = letter.event_id, letter.code
    if name not in published.unique:
        yield f"{name} is a dead letter ({code}) and was never published"
    elif code not in {*excused, published.rejected.get(name)}:
        yield f"{name} is a dead letter for {code}, not for {published.rejected.get(name)}"
    if accepted and not letter.may_have_run:
        yield f"{name} was accepted and is a dead letter that does not say so"
