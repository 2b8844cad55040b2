"""Runs an audit: collects the accepted events, then looks up the runs of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from glob import escape
from itertools import compress
from typing import Any

from relay.ops.audit.accepted import Accepted, AcceptedSource, EventList, Scope, stored_event
from relay.ops.audit.functions import Listeners, read_listeners
from relay.ops.audit.report import MAX_KEYS, AuditReport, count_events
from relay.ops.audit.requests import BoundedRequests
from relay.ops.audit.state import AuditState, Looked, Run
from relay.ops.inngest_api import InngestApi

BATCH = 100
"""Events that are looked up between two writes of the state."""

MAX_NOTES = 20

REMEMBERED = 86_400.0
"""Seconds for which the server remembers an id: a copy within that time starts no run."""

Progress = Callable[[int, int], None]
"""Called with how many copies were looked up, and how many are known."""


class Audit:
    """One audit.

    Args:
        requests: sends the requests.
        source: of the accepted events.
        scope: which of them.
        state: what was read; an interrupted audit is resumed from it.
        stop: ends it after the requests under way.
        signals: patterns for the names of events that steps wait for.
        clock: the time of day.
    """

    def __init__(
        self,
        requests: BoundedRequests,
        source: AcceptedSource,
        scope: Scope,
        state: AuditState,
        *,
        stop: asyncio.Event,
        signals: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests = requests
        self._api = InngestApi(requests, clock)
        self._source = source
        self._scope = scope
        self._state = state
        self._stop = stop
        self._signals = signals
        self._clock = clock
        self._notes: dict[str, None] = {}

    async def run(self, progress: Progress) -> AuditReport:
        """Read what is not read yet, and report on everything that was.

        Raises:
            Unavailable: the server does not answer.
            UnusableAnswer: it has no such API, or refuses the key.
            AwsError: the ledger cannot be read.
            OSError: the state cannot be written.
        """
        listeners = await read_listeners(self._api, self._requests.api_v2, self._signals)
        if listeners is None:
            self._note(
                "the server does not tell which functions exist, so a name of which no event had a"
                " run counts as unheard"
            )
        if self._state.value("collected") and not self._state.pending(1):
            self._state.forget_unfinished()
        await self._collect(progress)
        await self._look_up_all(progress)
        if not self._source.stored:
            await self._add_copies(listeners)
            await self._look_up_all(progress)
        return self.report(listeners)

    def report(self, listeners: Listeners | None) -> AuditReport:
        """What is known so far."""
        known, looked = self._state.count()
        report = AuditReport(
            source=self._source.name,
            since=self._scope.since,
            until=self._scope.until,
            names=self._scope.names,
            references=known,
            pending=known - looked,
            requests=self._requests.count,
            gaps=[*(self._state.value("gaps") or ())],
            notes=[*(self._state.value("notes") or ()), *self._notes],
        )
        if not self._state.value("collected"):
            report.gaps.append("not all accepted events were collected")
        elif not (self._source.stored or self._state.value("copies")):
            report.gaps.append("not all copies of the events without a run were looked for")
        count_events(report, self._state.events(), listeners, self._heard())
        return report

    def _heard(self) -> frozenset[str]:
        return frozenset(event.name for event in self._state.events() if event.runs)

    async def _collect(self, progress: Progress) -> None:
        if self._state.value("collected"):
            return
        place = self._state.value("place") or ""
        async for batch in self._source.read(self._scope, place):
            self._state.add(batch.events, place=batch.place)
            known, looked = self._state.count()
            progress(looked, known)
            if self._stop.is_set():
                return
        self._state.add((), collected=True, gaps=self._source.gaps, notes=self._source.notes)

    async def _add_copies(self, listeners: Listeners | None) -> None:
        """Add the copies that the source does not know, of events that lack a run.

        The relay sends an event again if the answer to it was lost. Only the later copy has a
        reference in the log and the ledger, and only the first one has the runs.
        """
        if self._state.value("copies"):
            return
        for name, (since, until) in self._lacking(listeners).items():
            scope = Scope(since=since - REMEMBERED, until=until + 1, names=(escape(name),))
            async for batch in EventList(self._api).read(scope, ""):
                if self._stop.is_set():
                    return
                known = (one for one in batch.events if self._state.has(one.name, one.id))
                # Whatever its time is, it belongs to an event in scope.
                self._state.add([replace(one, at=None) for one in known])
        self._state.add((), copies=True)

    def _lacking(self, listeners: Listeners | None) -> dict[str, tuple[float, float]]:
        """The names of stored events that fewer functions ran for than listen, with their times."""
        found, heard = dict[str, tuple[float, float]](), self._heard()
        for event in self._state.events():
            ran = len({run.function for run in event.runs})
            least = len(listeners.of(event.name)) if listeners else int(event.name in heard)
            if not event.stored or ran >= least:
                continue
            if event.name not in found and len(found) >= MAX_KEYS:
                self._note(
                    f"copies of events were looked for under the first {MAX_KEYS} names only"
                )
                continue
            earliest = self._scope.since if event.at is None else event.at
            latest = self._scope.until if event.at is None else event.at
            since, until = found.get(event.name, (earliest, latest))
            found[event.name] = (min(since, earliest), max(until, latest))
        return found

    async def _look_up_all(self, progress: Progress) -> None:
        while not self._stop.is_set() and (events := self._state.pending(BATCH)):
            left, found = iter(events), list[Looked]()
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._requests.concurrency):
                        group.create_task(self._look_up_some(left, found))
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
            finally:
                self._record(found)
            known, looked = self._state.count()
            progress(looked, known)

    async def _look_up_some(self, left: Iterator[Accepted], found: list[Looked]) -> None:
        for event in left:
            if self._stop.is_set():
                return
            found.append(await self._look_up(event))

    def _record(self, found: Sequence[Looked]) -> None:
        """Record what was found; an event without a name may turn out to be out of scope."""
        inside = [self._scope.includes(one.event.name, one.event.at) for one in found]
        self._state.looked_up(compress(found, inside))
        outside = (one for one, kept in zip(found, inside, strict=True) if not kept)
        self._state.remove(one.event.reference for one in outside)

    async def _look_up(self, event: Accepted) -> Looked:
        runs, gap = await self._api.runs(event.reference)
        if gap is not None:
            self._note(gap)
        stored = True
        if not event.name or not (runs or self._source.stored):
            fields = await self._api.event(event.reference)
            stored = fields is not None
            if fields is not None and not event.name:
                event = _named(event, stored_event(fields))
        return Looked(event, self._clock(), stored or bool(runs), [read_run(run) for run in runs])

    def _note(self, sentence: str) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes[sentence] = None


def read_run(run: Mapping[str, Any]) -> Run:
    """A run as version 2 of the API shows it, or version 1."""
    function, app = run.get("function"), run.get("app")
    name = function.get("id") if isinstance(function, dict) else run.get("function_id")
    app_id = app.get("id") if isinstance(app, dict) else None
    return Run(
        run=_text(run.get("id") or run.get("run_id")),
        function=f"{_text(app_id)}/{_text(name)}" if app_id else _text(name),
        status=_text(run.get("status")).lower(),
    )


def _text(value: Any) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and value else "?"


def _named(event: Accepted, stored: Accepted) -> Accepted:
    return Accepted(event.reference, stored.name, stored.id, event.at)
