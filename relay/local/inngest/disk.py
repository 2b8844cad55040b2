"""What survives a crash of the server, in memory and, where asked for, in a file of JSON lines.

Each line is written at once and in one piece, so that a killed process leaves a readable file.
"""

from __future__ import annotations

import os
from bisect import insort
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from relay.local.inngest.records import Job, Run, StoredEvent

Persistence: TypeAlias = Literal["memory", "durable"]
Key: TypeAlias = tuple[str, str]
"""A function's name and what it recognises a repeated event by."""


class _Line(msgspec.Struct, omit_defaults=True):
    """One line of the file; exactly one of its fields is set, `first_seen` comes with `job`."""

    stored: StoredEvent | None = None
    job: Job | None = None
    first_seen: tuple[str, str, float] | None = None
    ran: Run | None = None
    snapshot: tuple[list[Job], list[tuple[str, str, float]]] | None = None


_encode = msgspec.json.Encoder().encode
_read_line = msgspec.json.Decoder(_Line).decode


class Disk:
    """Stored events, runs, and the queue as far as it was written down.

    With `durable` persistence the queue and the memory of ids live in an external, persistent
    store, and each change of them is here at once. With `memory` they are as old as the last
    snapshot.
    """

    def __init__(self, persistence: Persistence, path: Path | None = None) -> None:
        self.durable = persistence == "durable"
        self.stored: dict[str, StoredEvent] = {}
        self.order: list[str] = []
        self.runs: dict[str, Run] = {}
        self.jobs: dict[str, Job] = {}
        self.first_seen: dict[Key, float] = {}
        self._file: int | None = None
        if path is not None:
            self._replay(path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def store(self, events: Sequence[StoredEvent]) -> None:
        """Insert events; one whose internal id is there already changes nothing."""
        new = [event for event in events if event.internal_id not in self.stored]
        for event in new:
            self._keep(event)
        self._write([_Line(stored=event) for event in new])

    def schedule(self, job: Job, key: Key, first_seen: float) -> None:
        """Note a job and a key; only a durable queue is written down at once."""
        if self.durable:
            self.jobs[job.run_id] = job
            self.first_seen[key] = first_seen
            self._write([_Line(job=job, first_seen=(*key, first_seen))])

    def run(self, job: Job, now: float) -> None:
        """Record that the function ran, or ran again."""
        run = self.runs.get(job.run_id)
        if run is None:
            run = self.runs[job.run_id] = Run.of(job, now)
        else:
            run.attempts += 1
        if self.durable:
            self.jobs.pop(job.run_id, None)
        self._write([_Line(ran=run)])

    def snapshot(self, jobs: Mapping[str, Job], first_seen: Mapping[Key, float]) -> None:
        """Write the whole queue and memory down as they are now."""
        self.jobs, self.first_seen = dict(jobs), dict(first_seen)
        seen = [(*key, at) for key, at in first_seen.items()]
        self._write([_Line(snapshot=(list(jobs.values()), seen))])

    def close(self) -> None:
        """Close the file. What was written stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _keep(self, event: StoredEvent) -> None:
        self.stored[event.internal_id] = event
        insort(self.order, event.internal_id)

    def _write(self, lines: Sequence[_Line]) -> None:
        if self._file is not None and lines:
            os.write(self._file, b"".join(_encode(line) + b"\n" for line in lines))

    def _replay(self, path: Path) -> None:
        if not path.exists():
            return
        written = path.read_bytes()
        # A kill can cut the last line; what it said had not happened yet.
        whole = written[: written.rfind(b"\n") + 1]
        os.truncate(path, len(whole))
        for line in whole.splitlines():
            self._apply(_read_line(line))

    def _apply(self, line: _Line) -> None:
        if line.stored is not None:
            self._keep(line.stored)
        if line.job is not None and line.first_seen is not None:
            function, key, at = line.first_seen
            self.jobs[line.job.run_id] = line.job
            self.first_seen[function, key] = at
        if line.ran is not None:
            self.runs[line.ran.run_id] = line.ran
            if self.durable:
                self.jobs.pop(line.ran.run_id, None)
        if line.snapshot is not None:
            jobs, seen = line.snapshot
            self.jobs = {job.run_id: job for job in jobs}
            self.first_seen = {(function, key): at for function, key, at in seen}
