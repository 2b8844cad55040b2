"""The thread that writes lines: nobody waits for a disk or a full pipe."""

from __future__ import annotations

import threading
from collections.abc import Callable

from relay.telemetry.log_writer import LineWriter


def test_lines_come_in_order_and_many_at_a_time() -> None:
    texts: list[bytes] = []
    writer = LineWriter(texts.append)
    for number in range(5_000):
        writer.take(b"%d" % number)
    writer.close()
    assert b"".join(texts).splitlines() == [b"%d" % number for number in range(5_000)]
    assert len(texts) < 500


def test_a_pipe_that_nobody_reads_costs_lines_beyond_the_limit_and_no_time() -> None:
    stuck, reached = threading.Event(), threading.Event()
    texts: list[bytes] = []

    def write(text: bytes) -> None:
        reached.set()
        stuck.wait()
        texts.append(text)

    writer = LineWriter(write, limit=100)
    writer.take(b"first")
    reached.wait()
    for _ in range(50):
        writer.take(b"0123456789")
    assert writer.take_lost() == 40
    assert writer.take_lost() == 0
    stuck.set()
    writer.close()
    assert b"".join(texts).count(b"0123456789") == 10


def test_a_disk_that_fails_costs_the_lines_of_that_time_and_is_told_once() -> None:
    failing, texts, told = [True], list[bytes](), list[str | None]()

    def write(text: bytes) -> None:
        if failing[0]:
            raise OSError(28, "No space left on device")
        texts.append(text)

    writer = LineWriter(write, told=told.append)
    writer.take(b"a")
    lost = _until(writer.take_lost)
    writer.take(b"a")
    lost += _until(writer.take_lost)
    failing[0] = False
    writer.take(b"b")
    writer.close()
    assert (lost, texts, told) == (2, [b"b\n"], ["No space left on device", None])


def test_nothing_is_taken_after_the_end() -> None:
    writer = LineWriter(lambda _text: None)
    writer.close()
    writer.take(b"late")
    assert writer.take_lost() == 1


def _until(condition: Callable[[], int | bool]) -> int:
    """The condition's first true value."""
    pause = threading.Event()
    while not (found := condition()):
        pause.wait(0.005)
    return int(found)
