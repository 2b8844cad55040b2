"""What survives a stop of the server: stored events, runs, and perhaps its queue."""

from __future__ import annotations

import os
from bisect import insort
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from relay.local.inngest.records import Job, Run, StoredEvent

Persistence: TypeAlias = Literal["none", "memory", "durable"]
Key: TypeAlias = tuple[str, str]
"""A function's name, and the key by which it recognises a repeated event."""


class _Record(msgspec.Struct, omit_defaults=True):
    """One line of the file. Exactly one field is set, except that `job` comes with `first_seen`."""

    stored: StoredEvent | None = None
    job: Job | None = None
    first_seen: tuple[str, str, float] | None = None
    ran: Run | None = None


_encode = msgspec.json.Encoder().encode
_read_line = msgspec.json.Decoder(_Record).decode


class Disk:
    """The stored events, the runs, and what is persisted of the queue.

    | persistence | a server | a stop, clean or not, loses |
    |---|---|---|
    | `none` | `dev`, whose data is in memory | everything |
    | `memory` | `start` or `dev --persist`: its data is in SQLite | the queue and the known ids |
    | `durable` | the same with an external, persistent Redis | nothing that is stored here |

    Runs are never lost: a function did run, whatever the server remembers.
    """

    def __init__(self, persistence: Persistence, path: Path | None = None) -> None:
        self.persistence = persistence
        self.durable = persistence == "durable"
        self.stored: dict[str, list[StoredEvent]] = {}
        self.order: list[str] = []
        self.runs: dict[Key, Run] = {}
        self.runs_of: dict[str, list[Run]] = {}
        self.jobs: dict[str, list[Job]] = {}
        self.first_seen: dict[Key, float] = {}
        self._file: int | None = None
        if path is not None:
            self._replay(path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def events(self) -> Iterator[StoredEvent]:
        """Every stored event, by internal id; copies with one internal id in order of storing."""
        return chain.from_iterable(self.stored[internal_id] for internal_id in self.order)

    def store(self, events: Sequence[StoredEvent]) -> None:
        """Insert events. One whose internal id exists, from a seed, is stored beside it."""
        for event in events:
            self._keep(event)
        self._write([_Record(stored=event) for event in events])

    def schedule(self, job: Job, key: Key, first_seen: float) -> None:
        """Persist a job and its key, if the queue is durable."""
        if self.durable:
            self.jobs.setdefault(job.run_id, []).append(job)
            self.first_seen[key] = first_seen
            self._write([_Record(job=job, first_seen=(*key, first_seen))])

    def start(self, jobs: Sequence[Job], now: float) -> None:
        """Record the start of a run, or of one more attempt."""
        self._write([_Record(ran=self._started(job, now)) for job in jobs])

    def run(self, jobs: Sequence[Job], now: float) -> None:
        """Record a run that takes no time, or one more attempt of it."""
        self._write([_Record(ran=_end(self._started(job, now), job, now)) for job in jobs])
        self.jobs.pop(jobs[0].run_id, None)

    def end(self, jobs: Sequence[Job], now: float) -> None:
        """Record the end of a run that was started before."""
        runs = [self.runs[job.run_id, job.event.internal_id] for job in jobs]
        self._write([_Record(ran=_end(run, job, now)) for run, job in zip(runs, jobs, strict=True)])
        self.jobs.pop(jobs[0].run_id, None)

    def stop(self) -> None:
        """Lose what a stop of the server loses of what is here."""
        if self.persistence == "none":
            self.stored.clear()
            self.order.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _started(self, job: Job, now: float) -> Run:
        key = job.run_id, job.event.internal_id
        run = self.runs.get(key)
        if run is None:
            run = Run.of(job, now)
            self._add(run)
        else:
            run.attempts += 1
        return run

    def _add(self, run: Run) -> None:
        self.runs[run.run_id, run.internal_id] = run
        self.runs_of.setdefault(run.internal_id, []).append(run)

    def _keep(self, event: StoredEvent) -> None:
        if event.internal_id not in self.stored:
            insort(self.order, event.internal_id)
        self.stored.setdefault(event.internal_id, []).append(event)

    def _write(self, lines: Sequence[_Record]) -> None:
        if self._file is not None and lines:
            os.write(self._file, b"".join(_encode(line) + b"\n" for line in lines))

    def _replay(self, path: Path) -> None:
        if not path.exists():
            return
        written = path.read_bytes()
        # A kill can cut the last line: that step has not happened.
        whole = written[: written.rfind(b"\n") + 1]
        os.truncate(path, len(whole))
        for line in whole.splitlines():
            self._apply(_read_line(line))

    def _apply(self, line: _Record) -> None:
        if line.stored is not None:
            self._keep(line.stored)
        if line.job is not None and line.first_seen is not None:
            function, key, at = line.first_seen
            self.jobs.setdefault(line.job.run_id, []).append(line.job)
            self.first_seen[function, key] = at
        if line.ran is not None:
            self._forget(line.ran)
            self._add(line.ran)
            if line.ran.status != "Running":
                self.jobs.pop(line.ran.run_id, None)

    def _forget(self, run: Run) -> None:
        before = self.runs.pop((run.run_id, run.internal_id), None)
        if before is not None:
            self.runs_of[run.internal_id].remove(before)


def _end(run: Run, job: Job, now: float) -> Run:
    run.status = "Failed" if job.function.fails else "Completed"
    run.output = job.function.output
    if job.function.cancelled:
        run.status, run.output = "Cancelled", {}
    run.ended_at = now
    return run
