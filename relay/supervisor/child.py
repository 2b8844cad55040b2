"""A child process: how it is forked, how it is told to stop, and how it says why it cannot run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
WATCHED = {*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD}
"""The signals that the supervisor waits for. They are blocked in it, and in a child that starts."""

STOP, RELEASE = b"s", b"r"
"""What the supervisor says to a child: stop in order, or at once."""

CRASHED = 1
_MOST_BYTES = 8_192


class Refusal(Exception):
    """A process cannot run with these settings, nor could another: all of them are stopped.

    Args:
        code: the exit code, from 1 to 255.
        sentence: for the operator.
    """

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Lifeline:
    """A child's end of its connection to the supervisor, which says when to stop.

    It says so too when the supervisor is gone, however it ended: the kernel closes the connection.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @contextlib.contextmanager
    def following(self, stop: Callable[[], None], release: Callable[[], None]) -> Iterator[None]:
        """Call `stop` to stop in order, maybe repeatedly, and `release` to stop at once.

        Signals arrive from here on, for as long as the block runs. Enter it inside a running event
        loop, after what handles them.
        """
        loop = asyncio.get_running_loop()

        def read() -> None:
            words = self._connection.recv(_MOST_BYTES)
            if not words:
                loop.remove_reader(self._connection)
            stop()
            if RELEASE in words:
                release()

        loop.add_reader(self._connection, read)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
            loop.remove_reader(self._connection)


Run: TypeAlias = Callable[[Lifeline], None]
"""Runs a child process until its lifeline ends it. May raise `Refusal`."""

PrintError: TypeAlias = Callable[[str], None]
"""Prints the traceback of a child that crashed."""


@dataclass(slots=True)
class Child:
    """A process that is started again and again: the reporter, with the number 0, or a worker.

    `pid` is 0 while it does not run. Times are seconds of the supervisor's clock.
    """

    number: int
    run: Run
    pid: int = 0
    connection: socket.socket | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0
    killed: bool = False

    def start(self, siblings: Sequence[Child], print_error: PrintError) -> None:
        """Fork. Returns in the supervisor only.

        Raises:
            OSError: there is no memory, or there are too many processes.
        """
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the child would write it again
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._become(theirs, siblings, print_error)
        theirs.close()
        self.pid, self.connection = pid, ours

    def _become(
        self, connection: socket.socket, siblings: Sequence[Child], print_error: PrintError
    ) -> NoReturn:
        """Run the child, in the child. Nothing of the supervisor may run here afterwards."""
        code = CRASHED
        try:
            for sibling in siblings:  # only the supervisor may hold them: see `Lifeline`
                if sibling.connection is not None:
                    sibling.connection.close()
            self.run(Lifeline(connection))
            code = 0
        except Refusal as refusal:
            connection.send(str(refusal).encode(errors="replace")[:_MOST_BYTES])
            code = refusal.code
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it is
            with contextlib.suppress(Exception):
                print_error(traceback.format_exc())
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def tell(self, word: bytes) -> None:
        """Send a word over the lifeline."""
        if self.connection is not None:
            with contextlib.suppress(OSError):  # the process has just ended
                self.connection.send(word)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> str:
        """Close the lifeline of a process that has ended; the sentence of its refusal, if any."""
        self.pid = 0
        connection, self.connection = self.connection, None
        if connection is None:
            return ""
        with connection:
            connection.setblocking(False)
            try:
                return connection.recv(_MOST_BYTES).decode(errors="replace")
            except OSError:
                return ""
