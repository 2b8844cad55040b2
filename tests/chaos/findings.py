"""Reconciles a chaos run from the records of the publisher, the queues and the functions."""

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
class Findings:
    """The result. The first three must be empty; the counts are for the table.

    `repeats` counts repeated runs of batched functions, which ignore ids: reported only.
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

    def violations(self) -> Iterator[str]:
        """A line for each violation of the delivery guarantee."""
        for kind in ("lost", "ran_twice", "unexplained"):
            yield from (f"{kind}: {what}" for what in getattr(self, kind))


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event in the dead-letter queue."""

    event_id: str
    code: str
    may_have_run: bool


def reconcile(
    published: Published,
    stored: Sequence[StoredEvent],
    runs: Sequence[Run],
    functions: Sequence[Function],
    dead_letters: Iterable[Stored],
    left: int,
    allowed_codes: Mapping[str, set[str]],
) -> Findings:
    """Compare the independent records with each other.

    Args:
        published: what was published, and what must be dead-lettered.
        stored: the events that the orchestrator accepted.
        runs: what the functions ran.
        functions: the registered functions.
        dead_letters: the messages in the dead-letter queue.
        left: the number of messages left in the main queue.
        allowed_codes: codes with which a valid event may be dead-lettered, by event id.
    """
    dead = {
        event.event_id: event
        for message in dead_letters
        for event in events_in(message, published.unique)
    }
    accepted = {event.id: event.name for event in stored}
    missing = {
        f"{event_id} never ran in {function}"
        for event_id, function in _missing_runs(accepted, runs, functions)
        if event_id not in dead
    }
    gone = set(published.runs) - set(accepted) - set(dead)
    lost = {f"{event_id} is nowhere" for event_id in gone}
    twice = _repeats(runs, {function.name for function in functions if not function.batched})
    return Findings(
        lost=tuple(sorted(lost | missing)),
        ran_twice=tuple(sorted(twice.elements())),
        unexplained=tuple(sorted(_unexplained(published, accepted, dead, left, allowed_codes))),
        published=len(published.unique),
        ran=len(set(accepted) & published.unique),
        dead=len(set(dead) & published.unique),
        repeats=_repeats(runs, {f.name for f in functions if f.batched}).total(),
    )


def events_in(message: Stored, known: set[str]) -> Iterator[DeadEvent]:
    """The events of a dead letter, read without the relay's code.

    An event has its own id if that is one of the `known` ids, else the id of its message.
    """
    packed = message.attributes.get(ORIGIN)
    origin = json.loads(packed.string_value or "{}") if packed else {}
    base, code = origin.get("id", message.message_id), origin.get("code", "moved by SQS")
    may_have_run = bool(origin.get("may_have_run"))
    pending = origin.get("pending")
    names = [base] if pending is None else [f"{base}.{position}" for position in pending]
    own = _own_ids(message.body)
    for name in names:
        named = own.get(name.removeprefix(base), name)
        yield DeadEvent(named if named in known else name, code, may_have_run)


def _own_ids(body: str) -> dict[str, str]:
    """The ids in the body, by the suffix to the base id of the message."""
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    if isinstance(read, list):
        found = {f".{n}": one.get("id") for n, one in enumerate(read) if isinstance(one, dict)}
    else:
        found = {"": read.get("id") if isinstance(read, dict) and "name" in read else None}
    return {suffix: own for suffix, own in found.items() if isinstance(own, str)}


def _missing_runs(
    accepted: Mapping[str, str], runs: Sequence[Run], functions: Sequence[Function]
) -> Iterator[tuple[str, str]]:
    done = {(run.function, run.event_id) for run in runs}
    for event_id, name in accepted.items():
        for function in functions:
            if function.listens_to(name) and (function.name, event_id) not in done:
                yield event_id, function.name


def _repeats(runs: Sequence[Run], functions: set[str]) -> Counter[str]:
    times = Counter(
        f"{run.event_id} in {run.function}" for run in runs if run.function in functions
    )
    return Counter({name: count - 1 for name, count in times.items() if count > 1})


def _unexplained(
    published: Published,
    accepted: Mapping[str, str],
    dead: Mapping[str, DeadEvent],
    left: int,
    allowed_codes: Mapping[str, set[str]],
) -> Iterator[str]:
    if left:
        yield f"{left} messages are left in the queue"
    for event_id in accepted.keys() - published.unique:
        yield f"{event_id} was accepted and never published"
    for event_id in accepted.keys() & published.rejected.keys():
        yield f"{event_id} is poison and was accepted"
    for event_id in published.rejected.keys() - dead.keys():
        yield f"{event_id} is poison and is not a dead letter"
    for event_id, event in dead.items():
        yield from _check_dead_event(
            event, event_id in accepted, published, allowed_codes.get(event_id, set())
        )


def _check_dead_event(
    event: DeadEvent, accepted: bool, published: Published, allowed: set[str]
) -> Iterator[str]:
    name, code = event.event_id, event.code
    if name not in published.unique:
        yield f"{name} is a dead letter ({code}) and was never published"
    elif code not in {*allowed, published.rejected.get(name)}:
        yield f"{name} is a dead letter for {code}, not for {published.rejected.get(name)}"
    if accepted and not event.may_have_run:
        yield f"{name} was accepted and is a dead letter without may_have_run"
