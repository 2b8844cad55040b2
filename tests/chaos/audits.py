"""Audits of a chaos run: `relay audit` has to agree with the judge's own records, event by event.

The command runs as a process of its own, on the real clock: on an accelerated one, its requests
would time out. What it looked up is read from its state file, what it counted from its JSON.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from relay.local.inngest import Run, StoredEvent
from tests.chaos.dead_letters import events_in
from tests.chaos.environment import REGION, Environment
from tests.chaos.processes import ForkServer, Relay

Source: TypeAlias = Literal["list", "log", "ledger"]
Key: TypeAlias = tuple[str, str]
"""An event's name and id."""

KILL_MAY_LOSE = 60.0
"""Seconds before a kill, by the relay's clock. A request may take 20 of them until its answer, and
the lines of the last 50 ms of real time are not written yet (docs/logs.md). That is more than one
of them, as the clock runs 25 times as fast, and many if the thread has to wait for a CPU."""

INCOMPLETE = 3
"""The exit code of an audit that could not read everything."""


@dataclass(slots=True)
class Found:
    """An event: the orchestrator's ids of its copies, and its runs with function and status."""

    references: set[str] = field(default_factory=set)
    runs: set[tuple[str, str, str]] = field(default_factory=set)
    stored: bool = False

    @property
    def state(self) -> str:
        """What an audit must call it. Every function of a chaos run completes at once."""
        return "completed" if self.runs else "unheard"


@dataclass(frozen=True, slots=True)
class Audited:
    """What the command printed and exited with, and what it looked up."""

    source: Source
    code: int
    report: Mapping[str, Any]
    events: Mapping[Key, Found]
    output: str


@dataclass(frozen=True, slots=True)
class Records:
    """The judge's records.

    Attributes:
        accepted: what the orchestrator accepted, with the runs.
        dead: the ids of the events in the dead-letter queue.
        recorded: the orchestrator's ids in the ledger, which misses what DynamoDB did not take.
        unlogged: what was accepted, the last time, just before the relay was killed. The log may
            not have it.
    """

    accepted: Mapping[Key, Found]
    dead: frozenset[str]
    recorded: frozenset[str]
    unlogged: frozenset[Key] = frozenset()

    def must_list(self, source: Source, key: Key) -> bool:
        """Whether an audit of this source must have the accepted event."""
        if source == "ledger":
            return not self.recorded.isdisjoint(self.accepted[key].references)
        # Of what was accepted and dead-lettered, the log has the dead letter.
        return source == "list" or (key[1] not in self.dead and key not in self.unlogged)


def records_of(env: Environment) -> Records:
    """The judge's records as they are now."""
    dead = {
        event.event_id
        for message in env.dead.messages()
        for event in events_in(message, env.publisher.record.sources, env.store.objects)
    }
    rows = (item for key, item in env.ledger.items.items() if key.startswith("delivered#"))
    recorded = {row["detail"]["S"] for row in rows if "detail" in row}
    accepted = accepted_events(env.inngest.events, env.inngest.runs)
    unlogged = last_accepted_before(env.relay.killed, env.inngest.events)
    return Records(accepted, frozenset(dead), frozenset(recorded), unlogged)


def last_accepted_before(kills: Sequence[float], stored: Sequence[StoredEvent]) -> frozenset[Key]:
    """The events last accepted so shortly before a kill that their lines may be lost."""
    last: dict[Key, float] = {}
    for event in stored:
        key = (event.name, event.id)
        last[key] = max(event.received_at, last.get(key, event.received_at))
    return frozenset(
        key for key, at in last.items() if any(0 <= kill - at <= KILL_MAY_LOSE for kill in kills)
    )


def accepted_events(stored: Sequence[StoredEvent], runs: Sequence[Run]) -> dict[Key, Found]:
    """Each event that the orchestrator stored, once, with what ran for it."""
    found: defaultdict[Key, Found] = defaultdict(lambda: Found(stored=True))
    for event in stored:
        found[event.name, event.id].references.add(event.internal_id)
    for run in runs:
        key = (run.event_name, run.event_id)
        found[key].runs.add((run.run_id, f"{run.app}/{run.function}", run.status.lower()))
    return dict(found)


async def audit_run(
    env: Environment,
    directory: Path,
    source: Source,
    auditors: ForkServer,
    mutant: str | None = None,
) -> Audited:
    """Run the command over everything that the run accepted; `auditors` has the real clock."""
    name = f"audit-{source}-{uuid.uuid4().hex}"
    state, output = directory / f"{name}.state", directory / f"{name}.out"
    words = ["audit", "--json", "--state", str(state), "--request-rate", "1000000"]
    words += ["--from", _utc(env.clock.origin - 1), "--to", _utc(env.clock.time() + 60)]
    words += {"list": [], "log": ["--log", str(env.relay.output)], "ledger": ["--ledger"]}[source]
    settings = {
        "AWS_ACCESS_KEY_ID": "chaos",
        "AWS_SECRET_ACCESS_KEY": "chaos",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{env.ledger.port}",
        "RELAY_INNGEST_URL": env.inngest.url,
        "RELAY_METRICS": "none",
        "RELAY_LEDGER_TABLE": "ledger",
    }
    command = Relay(auditors, words, settings, output, None, mutant)
    try:
        await command.start()
        code = await command.ended()
        text = output.read_text(errors="replace")
        return Audited(source, code, _report(text), read_state(state), text)
    finally:
        await command.kill_if_running()
        for path in (state, output):
            path.unlink(missing_ok=True)


def read_state(path: Path) -> dict[Key, Found]:
    """What the command's state file has, read without the relay's code."""
    found: defaultdict[Key, Found] = defaultdict(Found)
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT e.name, e.id, e.reference, e.stored, r.run, r.function, r.status"
            " FROM events e LEFT JOIN runs r USING (reference) WHERE e.looked_at IS NOT NULL"
        )
        for name, ident, reference, stored, run, function, status in rows:
            event = found[name, ident]
            event.references.add(reference)
            event.stored = event.stored or bool(stored)
            if run is not None:
                event.runs.add((run, function, status))
    return dict(found)


def disagreements(audited: Audited, records: Records) -> Iterator[str]:
    """A sentence for each event or count in which the audit differs from the judge's records."""
    if audited.code == INCOMPLETE or not audited.report:
        yield f"it is incomplete: {audited.output[-500:]}"
        return
    for key, expected in records.accepted.items():
        if (event := audited.events.get(key)) is not None:
            yield from _differing_event(key, event, expected, whole=audited.source == "list")
        elif records.must_list(audited.source, key):
            yield f"{key} was accepted, and it does not have it"
    for key in audited.events.keys() - records.accepted.keys():
        what = "a dead letter" if key[1] in records.dead else "unknown"
        yield f"{key} was not accepted ({what}), and it has it"
    yield from _differing_counts(audited.report, audited.events)


def _differing_event(key: Key, event: Found, expected: Found, *, whole: bool) -> Iterator[str]:
    """Compare an event. Unless `whole`, not every copy of it needs to be known.

    A batched function runs for each copy; the others run once, and that run must be known.
    """
    ran = {function for _, function, _ in expected.runs}
    known = {function for _, function, _ in event.runs}
    if event.runs != expected.runs if whole else not (event.runs <= expected.runs and ran == known):
        yield f"the runs of {key} are {expected.runs}, and it has {event.runs}"
    if not event.stored:
        yield f"{key} is stored, and it has it as missing"
    copies = event.references
    if copies != expected.references if whole else not copies <= expected.references:
        yield f"the copies of {key} are {expected.references}, and it has {copies}"


def _differing_counts(report: Mapping[str, Any], events: Mapping[Key, Found]) -> Iterator[str]:
    """Compare the counts with the events, which were compared with the judge's records."""
    by_name: defaultdict[str, Counter[str]] = defaultdict(Counter)
    functions: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (name, _), event in events.items():
        by_name[name][event.state] += 1
        for _, function, status in event.runs:
            functions[function][status] += 1
    unheard = {name: states["unheard"] for name, states in by_name.items() if states["unheard"]}
    expected = {
        "events": len(events),
        "references": sum(len(event.references) for event in events.values()),
        "by_name": {name: dict(states) for name, states in by_name.items()},
        "by_function": {name: dict(statuses) for name, statuses in functions.items()},
        "states": dict(sum(by_name.values(), Counter())),
        "unheard": unheard,
        "by_hour": len(events),
    }
    found = {
        **report,
        "states": {state: count for state, count in report["states"].items() if count},
        "unheard": {one["name"]: one["events"] for one in report["unheard"]},
        "by_hour": sum(sum(states.values()) for states in report["by_hour"].values()),
    }
    for name, value in expected.items():
        if found[name] != value:
            yield f"its {name} must be {value}, and is {found[name]}"


def _report(text: str) -> Mapping[str, Any]:
    """The JSON document among the lines of both outputs."""
    _, found, rest = f"\n{text}".partition("\n{\n")
    document, ended, _ = rest.partition("\n}\n")
    report: dict[str, Any] = json.loads(f"{{{document}}}") if found and ended else {}
    return report


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
