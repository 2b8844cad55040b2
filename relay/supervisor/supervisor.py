"""Runs worker processes: forks them, restarts those that end, and stops all of them in order.

The supervisor has one thread and no event loop for as long as it runs. So it can fork at any time,
also to restart a worker, and the workers share the memory of all that was imported before. Whatever
needs a loop or a thread (logs, metrics, HTTP) runs in the workers and in the reporter, a child that
speaks for all of them and ends last.

The supervisor waits for signals instead of handling them: none comes in between.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from relay.supervisor.child import (
    RELEASE,
    STOP,
    STOP_SIGNALS,
    WATCHED,
    Child,
    PrintError,
    Refusal,
    Run,
)

SUPPORTED = hasattr(os, "fork") and hasattr(signal, "sigtimedwait")
"""Whether this system can run several processes: Linux can."""

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
"""Seconds until a process that ended early is started again: doubled each time, up to this."""

STABLE_AFTER = 60.0
"""Seconds after which a process that ends did not end early: it is started again at once."""

REPORTER = 0
"""The number of the reporter in a `Note`. Workers are numbered from 1."""

_NOTES_EVERY = 0.2
"""Seconds until a note that could not be sent is sent again."""


class Started(Struct, frozen=True, tag=True):
    """A worker process was started."""

    worker: int
    pid: int


class Ended(Struct, frozen=True, tag=True):
    """A process ended, or could not be started. It is started in `delay` seconds, unless None.

    `how` completes a sentence: `ended with exit code 1`, `was ended by signal 9`.
    """

    worker: int
    pid: int
    how: str
    delay: float | None


Note: TypeAlias = Started | Ended


class Supervisor:
    """Runs the workers and the reporter until a stop signal or a refusal.

    The first signal stops the workers in order, the second at once, the third kills them. What has
    not stopped in time is killed.

    Args:
        workers: what each worker process runs.
        reporter: what the reporter runs. It has to end by itself after `close_reports`.
        stop_within: seconds that the workers have to stop.
        report_within: seconds that the reporter has to end after them.
        notify: takes what happens to the processes; False if it cannot take it now.
        close_reports: called when the last worker has ended.
        print_error: prints the traceback of a child that crashed.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        workers: Sequence[Run],
        reporter: Run,
        *,
        stop_within: float,
        report_within: float,
        notify: Callable[[Note], bool],
        close_reports: Callable[[], None],
        print_error: PrintError,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = [Child(number, run) for number, run in enumerate(workers, REPORTER + 1)]
        self._all = [Child(REPORTER, reporter), *self._workers]
        self._stop_within = stop_within
        self._report_within = report_within
        self._notify = notify
        self._close_reports = close_reports
        self._print_error = print_error
        self._clock = clock
        self._notes: deque[Note] = deque()
        self._stops = 0
        self._deadline: float | None = None
        self._reports_closed = False
        self._refusal: Refusal | None = None
        self._killed = 0

    def run(self) -> int:
        """Supervise until all processes have ended. Returns how many had to be killed.

        Call it in a process with one thread.

        Raises:
            Refusal: a process refused to run with these settings.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        gc.collect()
        gc.freeze()  # a collection in a child would copy every page that it shares
        while True:
            self._start_due()
            self._send_notes()
            self._end_in_time()
            if self._stops and not any(child.pid for child in self._all):
                break
            self._handle(self._wait())
            self._reap()
        if self._refusal is not None:
            raise self._refusal
        return self._killed

    def _start_due(self) -> None:
        for child in self._all:
            if not self._stops and not child.pid and child.start_at <= self._clock():
                self._start(child)

    def _start(self, child: Child) -> None:
        child.started_at = self._clock()
        try:
            child.start(self._all, self._print_error)
        except OSError as error:
            self._ended(child, 0, f"cannot be started: {error.strerror}")
            return
        if child.number != REPORTER:
            self._notes.append(Started(child.number, child.pid))

    def _wait(self) -> int | None:
        """Wait for a signal until something is due; the signal's number."""
        due = [child.start_at for child in self._all if not child.pid and not self._stops]
        if self._deadline is not None:
            due.append(self._deadline)
        if self._notes:
            due.append(self._clock() + _NOTES_EVERY)
        if not due:
            return signal.sigwaitinfo(WATCHED).si_signo
        found = signal.sigtimedwait(WATCHED, max(0.0, min(due) - self._clock()))
        return None if found is None else found.si_signo

    def _handle(self, number: int | None) -> None:
        # As with one process, a SIGHUP ends it only if it comes from a terminal that closes.
        attached = sys.stdin is not None and sys.stdin.isatty()
        if number in STOP_SIGNALS or (number == signal.SIGHUP and attached):
            self._stop()

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            self._deadline = self._clock() + self._stop_within
        for worker in self._workers:
            worker.tell(STOP if self._stops == 1 else RELEASE)
            if self._stops > 2:  # noqa: PLR2004 - the third, see the class
                self._kill(worker)

    def _kill(self, child: Child) -> None:
        if child.pid:
            child.kill()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._all:  # a container's first process gets those of others, too
                if child.pid == pid:
                    self._reaped(child, os.waitstatus_to_exitcode(status))

    def _reaped(self, child: Child, code: int) -> None:
        pid, words = child.pid, child.ended()
        self._killed += child.killed
        child.killed = False
        if words and code > 0 and self._refusal is None:
            self._refusal = Refusal(code, words)
            if not self._stops:
                self._stop()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._ended(child, pid, how)

    def _ended(self, child: Child, pid: int, how: str) -> None:
        now = self._clock()
        early = now - child.started_at < STABLE_AFTER
        child.failures = child.failures + 1 if early else 0
        delay = restart_delay(child.failures)
        child.start_at = now + delay
        self._notes.append(Ended(child.number, pid, how, None if self._stops else delay))

    def _send_notes(self) -> None:
        while self._notes and self._notify(self._notes[0]):
            self._notes.popleft()

    def _end_in_time(self) -> None:
        """Let the reporter end after the workers, and kill what has not ended in time."""
        if self._stops and not self._reports_closed and not any(one.pid for one in self._workers):
            self._reports_closed = True
            self._notes.clear()
            self._close_reports()
            self._deadline = self._clock() + self._report_within
        if self._deadline is not None and self._deadline <= self._clock():
            self._deadline = None
            for child in self._all if self._reports_closed else self._workers:
                self._kill(child)


def restart_delay(failures: int) -> float:
    """Seconds until a restart, after so many early ends in a row."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16)) if failures else 0.0
