"""Reconciles a chaos run from the records of the publisher, the queues and the functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from relay.local.inngest import Function, Run, StoredEvent
from relay.local.sqs import Stored
from tests.chaos.dead_letters import DeadEvent, Objects, events_in
from tests.chaos.publisher import Record


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a run allows beside the delivery of every valid event.

    Attributes:
        codes: codes with which a valid event may be dead-lettered, by event id.
        expiring_after: seconds after which every event may be dead-lettered as `expiring`; None if
            none may.
        truncated: whether the dead letter of an event that old may have a truncated body.
    """

    codes: Mapping[str, set[str]] = field(default_factory=dict)
    expiring_after: float | None = None
    truncated: bool = False


def reconcile(
    published: Record,
    stored: Sequence[StoredEvent],
    runs: Sequence[Run],
    functions: Sequence[Function],
    dead_letters: Iterable[Stored],
    left: int,
    allowed: Allowed,
    objects: Objects,
) -> Findings:
    """Compare the independent records with each other.

    Args:
        published: what was published, and what must be dead-lettered.
        stored: the events that the orchestrator accepted.
        runs: what the functions ran.
        functions: the registered functions.
        dead_letters: the messages in the dead-letter queue.
        left: the number of messages left in the main queue.
        allowed: what the run allows.
        objects: the objects in S3.
    """
    dead: defaultdict[str, list[DeadEvent]] = defaultdict(list)
    for message in dead_letters:
        for event in events_in(message, published.sources, objects):
            dead[event.event_id].append(event)
    accepted = {event.id: event.name for event in stored}
    missing = {
        f"{event_id} never ran in {function}"
        for event_id, function in _missing_runs(accepted, runs, functions)
        if event_id not in dead
    }
    gone = set(published.runs) - set(accepted) - set(dead)
    lost = {f"{event_id} is nowhere" for event_id in gone}
    incomplete = set(_incomplete(published, dead, allowed))
    twice = _repeats(runs, {function.name for function in functions if not function.batched})
    return Findings(
        lost=tuple(sorted(lost | missing | incomplete)),
        ran_twice=tuple(sorted(twice.elements())),
        unexplained=tuple(sorted(_unexplained(published, accepted, dead, left, allowed))),
        published=len(published.unique),
        ran=len(set(accepted) & published.unique),
        dead=len(set(dead) & published.unique),
        repeats=_repeats(runs, {f.name for f in functions if f.batched}).total(),
    )


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


def _incomplete(
    published: Record, dead: Mapping[str, Sequence[DeadEvent]], allowed: Allowed
) -> Iterator[str]:
    """The events of which no dead letter is whole, although one must be."""
    for event_id, copies in dead.items():
        best = min(copies, key=lambda copy: copy.missing is not None)
        if best.missing is None:
            continue
        if allowed.truncated and best.truncated and _is_old(best, published, allowed):
            continue
        yield f"{event_id} is a dead letter ({best.code}), and {best.missing}"


def _unexplained(
    published: Record,
    accepted: Mapping[str, str],
    dead: Mapping[str, Sequence[DeadEvent]],
    left: int,
    allowed: Allowed,
) -> Iterator[str]:
    if left:
        yield f"{left} messages are left in the queue"
    for event_id in accepted.keys() - published.unique:
        yield f"{event_id} was accepted and never published"
    for event_id in accepted.keys() & published.rejected.keys() - published.runs.keys():
        yield f"{event_id} is poison and was accepted"
    for event_id in published.rejected.keys() - dead.keys():
        yield f"{event_id} is poison and is not a dead letter"
    for copies in dead.values():
        for event in copies:
            yield from _check_dead_event(event, event.event_id in accepted, published, allowed)


def _check_dead_event(
    event: DeadEvent, accepted: bool, published: Record, allowed: Allowed
) -> Iterator[str]:
    name, code = event.event_id, event.code
    expected = {*allowed.codes.get(name, ()), published.rejected.get(name)}
    if name not in published.unique:
        yield f"{name} is a dead letter ({code}) and was never published"
    elif code == "expiring" and code not in expected and allowed.expiring_after is not None:
        if not _is_old(event, published, allowed):
            yield f"{name} is a dead letter for {code}, long before the queue would delete it"
    elif code not in expected and not _expired_with_poison(event, published, allowed):
        yield f"{name} is a dead letter for {code}, not for {published.rejected.get(name)}"
    if accepted and not event.may_have_run:
        yield f"{name} was accepted and is a dead letter without may_have_run"


def _expired_with_poison(event: DeadEvent, published: Record, allowed: Allowed) -> bool:
    """Whether it may have expired in a dead letter that has the code of an event before it."""
    codes = {published.rejected.get(other) for other in event.together}
    return event.code in codes and _is_old(event, published, allowed)


def _is_old(event: DeadEvent, published: Record, allowed: Allowed) -> bool:
    """Whether the queue was about to delete the message when it was dead-lettered."""
    sent_at = min(source.sent_at for source in published.sources[event.event_id])
    return allowed.expiring_after is not None and event.sent_at >= sent_at + allowed.expiring_after
