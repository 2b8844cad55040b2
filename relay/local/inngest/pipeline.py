"""The steps of an event in the server: acknowledged, stored, scheduled, run.

Time is passed in: whatever is due happens in `advance`, not before.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.local.inngest.disk import Disk, Key
from relay.local.inngest.records import Function, Job, Lags, StoredEvent


@dataclass
class _Batch:
    """A batch that waits for more events."""

    run_id: str
    batch_id: str
    trigger: str
    due: float
    count: int = 0


class Pipeline:
    """Everything between a 200 and a function's run.

    A stop loses what is only here; what has reached `disk` survives.

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
        self._jobs: dict[str, list[Job]] = {}
        self._batches: dict[str, _Batch] = {}
        self._running: dict[str, float] = {}
        self._stuck: dict[str, list[Job]] = {}
        self._first_seen: dict[Key, float] = {}

    def accept(self, events: Sequence[StoredEvent], now: float) -> None:
        """Accept acknowledged events: they are in the stream, and nowhere else.

        The server stores the events of a request in any order: here in that of their ULIDs, which
        is random within a millisecond.
        """
        due = now + self.lags.insert
        in_order = sorted(events, key=lambda event: event.internal_id)
        self._stream.extend((due, event) for event in in_order)

    def advance(self, now: float) -> None:
        """Carry out everything that is due."""
        self._insert(now)
        self._schedule(now)
        self._run(now)

    def next_step(self) -> float | None:
        """When the next step of an event is due; None if none is pending."""
        dues = [steps[0][0] for steps in (self._stream, self._inserted, self._heap) if steps]
        return min(dues, default=None)

    def crash(self) -> None:
        """Lose what a SIGKILL loses: everything that was not persisted."""
        self._stream.clear()
        self._inserted.clear()
        self._heap.clear()
        self._batches.clear()
        self._running.clear()
        if not self._disk.durable:
            self._stuck.update(self._waiting())
        self._jobs.clear()
        self._disk.stop()

    def shut_down(self, now: float) -> None:
        """Lose what a SIGTERM loses: the same, but runs that have started come to their end."""
        for run_id, ends_at in self._running.items():
            self._disk.end(self._jobs.pop(run_id), ends_at)
        if self._disk.durable:
            for _, event in self._inserted:
                self._schedule_one(event, now)
        self.crash()

    def restore(self, now: float) -> None:
        """Load the queue and the known ids from the disk, as at a start."""
        self._jobs = {run_id: list(jobs) for run_id, jobs in self._disk.jobs.items()}
        self._first_seen = dict(self._disk.first_seen)
        self._heap = [
            (max(jobs[0].due, now), next(self._turns), run_id)
            for run_id, jobs in self._jobs.items()
        ]
        heapq.heapify(self._heap)

    def jobs_of(self, internal_id: str) -> list[Job]:
        """The jobs of an event that wait for their time, or whose queue was lost.

        A batch is not a run before it is full or its time is up.
        """
        return [job for job in self.waiting() if job.event.internal_id == internal_id]

    def waiting(self) -> list[Job]:
        """The jobs of all events that wait for their time, or whose queue was lost."""
        lists = [*self._stuck.values(), *self._waiting().values()]
        return [job for jobs in lists for job in jobs]

    def _waiting(self) -> dict[str, list[Job]]:
        return {
            run_id: jobs
            for run_id, jobs in self._jobs.items()
            if run_id not in self._running and not jobs[0].batch_id
        }

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
                job = self._job(function, event, at)
                key = (function.name, function.key(event))
                self._jobs.setdefault(job.run_id, []).append(job)
                self._first_seen[key] = at
                self._disk.schedule(job, key, at)

    def _is_duplicate(self, function: Function, event: StoredEvent, at: float) -> bool:
        seen = self._first_seen.get((function.name, function.key(event)))
        return seen is not None and at - seen < function.dedup_window

    def _job(self, function: Function, event: StoredEvent, at: float) -> Job:
        batch = self._batch(function, event, at) if function.batched else None
        if batch is None:
            # An event with a time in the future runs at that time, one from the past at once.
            due = max(at + self.lags.run, event.ts / 1000 if event.ts > at * 1000 else 0.0)
            run_id = self._new_id(at)
            self._push(due, run_id)
            trigger, batch_id = event.internal_id, ""
        else:
            due, run_id = batch.due, batch.run_id
            trigger, batch_id = batch.trigger, batch.batch_id
        return Job(
            run_id=run_id,
            function=function,
            due=due,
            scheduled_at=due if batch else at,
            event=event,
            trigger=trigger,
            batch_id=batch_id,
        )

    def _batch(self, function: Function, event: StoredEvent, at: float) -> _Batch:
        batch = self._batches.get(function.name)
        if batch is None or batch.due <= at:
            due = at + (function.wait if function.size > 1 else self.lags.run)
            batch = _Batch(self._new_id(at), self._new_id(at), event.internal_id, due)
            self._batches[function.name] = batch
            self._push(due, batch.run_id)
        batch.count += 1
        if batch.count >= function.size:
            del self._batches[function.name]
            self._push(at + self.lags.run, batch.run_id)
        return batch

    def _push(self, due: float, run_id: str) -> None:
        heapq.heappush(self._heap, (due, next(self._turns), run_id))

    def _run(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            due, _, run_id = heapq.heappop(self._heap)
            jobs = self._jobs.get(run_id)
            # A batch that was full before its time was up has run already.
            if jobs is not None:
                self._step(run_id, jobs, due)

    def _step(self, run_id: str, jobs: list[Job], due: float) -> None:
        ends_at = self._running.get(run_id)
        if ends_at is not None and ends_at <= due:
            del self._running[run_id], self._jobs[run_id]
            self._disk.end(jobs, due)
        elif ends_at is None and jobs[0].function.seconds:
            self._running[run_id] = due + jobs[0].function.seconds
            self._disk.start(jobs, due)
            self._push(self._running[run_id], run_id)
        elif ends_at is None:
            del self._jobs[run_id]
            self._disk.run(jobs, due)
