"""The steps of an event in the server: acknowledged, stored, scheduled, run; and what survives.

Time is passed in: whatever is due happens in `advance`, not before.
"""

from __future__ import annotations

import heapq
import itertools
import os
from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from relay.local.inngest.records import Function, Job, Lags, Run, StoredEvent

Persistence: TypeAlias = Literal["memory", "durable"]
Key: TypeAlias = tuple[str, str]
"""A function's name, and the key by which it recognises a repeated event."""


class _Record(msgspec.Struct, omit_defaults=True):
    """One line of the file. Exactly one field is set, except that `job` comes with `first_seen`."""

    stored: StoredEvent | None = None
    job: Job | None = None
    first_seen: tuple[str, str, float] | None = None
    ran: Run | None = None
    snapshot: tuple[list[Job], list[tuple[str, str, float]]] | None = None


_encode = msgspec.json.Encoder().encode
_read_line = msgspec.json.Decoder(_Record).decode


class Disk:
    """What survives a crash: stored events, runs, and the persisted state of the queue.

    With `durable` persistence, the queue and the known ids are in an external, persistent store:
    every change is here at once. With `memory`, they are as old as the last snapshot.
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
        """Insert events; an internal id that already exists changes nothing."""
        new = [event for event in events if event.internal_id not in self.stored]
        for event in new:
            self._keep(event)
        self._write([_Record(stored=event) for event in new])

    def schedule(self, job: Job, key: Key, first_seen: float) -> None:
        """Persist a job and its key, if the queue is durable."""
        if self.durable:
            self.jobs[job.run_id] = job
            self.first_seen[key] = first_seen
            self._write([_Record(job=job, first_seen=(*key, first_seen))])

    def run(self, job: Job, now: float) -> None:
        """Record a run, or one more attempt of it."""
        run = self.runs.get(job.run_id)
        if run is None:
            run = self.runs[job.run_id] = Run.of(job, now)
        else:
            run.attempts += 1
        if self.durable:
            self.jobs.pop(job.run_id, None)
        self._write([_Record(ran=run)])

    def snapshot(self, jobs: Mapping[str, Job], first_seen: Mapping[Key, float]) -> None:
        """Persist the whole queue and the known ids as they are now."""
        self.jobs, self.first_seen = dict(jobs), dict(first_seen)
        seen = [(*key, at) for key, at in first_seen.items()]
        self._write([_Record(snapshot=(list(jobs.values()), seen))])

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _keep(self, event: StoredEvent) -> None:
        self.stored[event.internal_id] = event
        insort(self.order, event.internal_id)

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


class Pipeline:
    """Everything between a 200 and a function's run.

    A crash loses what is only here; what has reached `disk` survives.

    Args:
        disk: what survives.
        functions: the registered functions; may be replaced at any time.
        lags: seconds between the steps.
        new_id: returns a run id, given the time in seconds.
    """

    def __init__(
        self,
        disk: Disk,
        functions: Sequence[Function],
        lags: Lags,
        new_id: Callable[[float], str],
    ) -> None:
        self.functions = list(functions)
        self.lags = lags
        self._disk = disk
        self._new_id = new_id
        self._stream: deque[tuple[float, StoredEvent]] = deque()
        self._inserted: deque[tuple[float, StoredEvent]] = deque()
        self._heap: list[tuple[float, int, str]] = []
        self._turns = itertools.count()
        self._jobs: dict[str, Job] = {}
        self._first_seen: dict[Key, float] = {}
        self._snapshot_due: float | None = None

    def accept(self, events: Sequence[StoredEvent], now: float) -> None:
        """Accept acknowledged events: they are in the stream, and nowhere else."""
        due = now + self.lags.insert
        self._stream.extend((due, event) for event in events)

    def advance(self, now: float) -> None:
        """Carry out everything that is due."""
        self._insert(now)
        self._schedule(now)
        self._run(now)
        if self._snapshot_due is not None and self._snapshot_due <= now:
            self._snapshot()

    def next_due(self) -> float | None:
        """When something is due next, snapshots included; None if nothing is pending."""
        dues = (self.next_step(), self._snapshot_due)
        return min((due for due in dues if due is not None), default=None)

    def next_step(self) -> float | None:
        """When the next step of an event is due, snapshots excluded; None if none is pending."""
        dues = [steps[0][0] for steps in (self._stream, self._inserted, self._heap) if steps]
        return min(dues, default=None)

    def crash(self) -> None:
        """Lose what a SIGKILL loses: everything that was not persisted."""
        self._stream.clear()
        self._inserted.clear()
        self._heap.clear()
        self._snapshot_due = None

    def shut_down(self, now: float) -> None:
        """Lose what a SIGTERM loses, the stream; schedule and persist what was inserted."""
        self._stream.clear()
        for _, event in self._inserted:
            self._schedule_one(event, now)
        self._inserted.clear()
        self._snapshot()

    def restore(self, now: float) -> None:
        """Load the queue and the known ids from the disk, as at a start."""
        self._jobs = dict(self._disk.jobs)
        self._first_seen = dict(self._disk.first_seen)
        self._heap = [
            (max(job.due, now), next(self._turns), run_id) for run_id, job in self._jobs.items()
        ]
        heapq.heapify(self._heap)
        self._snapshot_due = None

    def _insert(self, now: float) -> None:
        taken: list[StoredEvent] = []
        while self._stream and self._stream[0][0] <= now:
            due, event = self._stream.popleft()
            taken.append(event)
            self._inserted.append((due + self.lags.schedule, event))
        if taken:
            self._disk.store(taken)

    def _schedule(self, now: float) -> None:
        while self._inserted and self._inserted[0][0] <= now:
            due, event = self._inserted.popleft()
            self._schedule_one(event, due)

    def _schedule_one(self, event: StoredEvent, at: float) -> None:
        for function in self.functions:
            if function.listens_to(event.name) and not self._is_duplicate(function, event, at):
                self._enqueue(function, event, at)

    def _is_duplicate(self, function: Function, event: StoredEvent, at: float) -> bool:
        seen = self._first_seen.get((function.name, function.key(event)))
        return seen is not None and at - seen < function.dedup_window

    def _enqueue(self, function: Function, event: StoredEvent, at: float) -> None:
        # An event with a time in the future runs at that time, one from the past at once.
        due = max(at + self.lags.run, event.ts / 1000 if event.ts > at * 1000 else 0.0)
        job = Job(
            run_id=self._new_id(at), function=function.name, due=due, scheduled_at=at, event=event
        )
        key = (function.name, function.key(event))
        self._jobs[job.run_id] = job
        self._first_seen[key] = at
        heapq.heappush(self._heap, (due, next(self._turns), job.run_id))
        self._disk.schedule(job, key, at)
        self._schedule_snapshot(at)

    def _run(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            due, _, run_id = heapq.heappop(self._heap)
            self._disk.run(self._jobs.pop(run_id), due)
            self._schedule_snapshot(due)

    def _schedule_snapshot(self, at: float) -> None:
        if self._snapshot_due is None and not self._disk.durable:
            self._snapshot_due = at + self.lags.snapshot

    def _snapshot(self) -> None:
        if not self._disk.durable:
            self._disk.snapshot(self._jobs, self._first_seen)
        self._snapshot_due = None

    def jobs_of(self, internal_id: str) -> list[Job]:
        """The pending jobs of an event."""
        return [job for job in self._jobs.values() if job.event.internal_id == internal_id]
