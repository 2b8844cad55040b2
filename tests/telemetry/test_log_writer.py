"""The thread that writes lines, and the file that it rotates."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.telemetry.log_writer import LineWriter, LogFile
from tests.telemetry.samples import wait_for

FULL = Path("/dev/full")


def test_lines_are_written_in_order_and_many_at_a_time() -> None:
    texts: list[bytes] = []
    writer = LineWriter(texts.append)
    for number in range(5_000):
        writer.take(b"%d" % number)
    writer.close()
    assert b"".join(texts).splitlines() == [b"%d" % number for number in range(5_000)]
    assert len(texts) < 500


def test_lines_beyond_the_limit_are_dropped_without_waiting() -> None:
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
    assert writer.take_lost_lines() == 40
    assert writer.take_lost_lines() == 0
    stuck.set()
    writer.close()
    assert b"".join(texts).count(b"0123456789") == 10


def test_lines_of_a_failed_write_are_dropped_and_the_failure_is_reported_once() -> None:
    failing, texts, reasons = [True], list[bytes](), list[str | None]()

    def write(text: bytes) -> None:
        if failing[0]:
            raise OSError(28, "No space left on device")
        texts.append(text)

    writer = LineWriter(write, on_change=reasons.append)
    writer.take(b"a")
    lost = wait_for(writer.take_lost_lines)
    writer.take(b"a")
    lost += wait_for(writer.take_lost_lines)
    failing[0] = False
    writer.take(b"b")
    writer.close()
    assert (lost, texts, reasons) == (2, [b"b\n"], ["No space left on device", None])


def test_a_flush_returns_when_everything_taken_before_it_is_written_in_order() -> None:
    started, resume = threading.Event(), threading.Event()
    texts: list[bytes] = []

    def write(text: bytes) -> None:
        if not started.is_set():
            started.set()
            resume.wait()  # the first write is under way in the writer's thread
        texts.append(text)

    writer = LineWriter(write)
    writer.take(b"first")
    started.wait()
    writer.take(b"second")
    flushing = threading.Thread(target=writer.flush)
    flushing.start()
    resume.set()
    flushing.join()
    assert b"".join(texts) == b"first\nsecond\n"
    writer.close()


def test_lines_after_close_are_dropped() -> None:
    writer = LineWriter(lambda _text: None)
    writer.close()
    writer.take(b"late")
    assert writer.take_lost_lines() == 1


def test_a_file_is_rotated_before_it_is_too_large_and_loses_no_line(
    tmp_path: Path,
) -> None:
    file = LogFile(tmp_path / "audit.log", max_bytes=1_000, backups=3)
    for number in range(60):
        file.write(b"%049d\n" % number)
    file.close()
    found = sorted(tmp_path.iterdir(), key=lambda path: path.name, reverse=True)
    assert [path.name for path in found] == [
        "audit.log.3",
        "audit.log.2",
        "audit.log.1",
        "audit.log",
    ][-len(found) :]
    assert all(path.stat().st_size <= 1_000 for path in found)
    numbers = [int(line) for path in found for line in path.read_text().splitlines()]
    assert numbers == list(range(60))


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_a_file_on_a_full_disk_can_be_closed() -> None:
    file = LogFile(FULL)
    with pytest.raises(OSError, match="space"):
        file.write(b"a line\n")
    file.close()


def test_a_full_disk_leaves_whole_lines_of_all_processes(tmp_path: Path) -> None:
    path, line = tmp_path / "audit.log", b"%039d\n" % 7
    files = [LogFile(path, max_bytes=100), LogFile(path, max_bytes=100)]
    files[0].write(line)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))
    try:
        for file in files * 2:
            with pytest.raises(OSError, match="large"):
                file.write(line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    for file in reversed(files):
        file.write(line)
        file.close()
    assert path.with_name("audit.log.1").read_bytes() == line * 2
    assert path.read_bytes() == line


def moved(path: Path) -> Path:
    path.rename(path.with_name("rotated"))
    return path.with_name("rotated")


def copied(path: Path) -> Path:
    """What logrotate calls `copytruncate`."""
    shutil.copy(path, path.with_name("rotated"))
    os.truncate(path, 0)
    return path.with_name("rotated")


@pytest.mark.parametrize("rotate", [moved, copied])
def test_a_file_that_another_program_rotates_is_followed(
    rotate: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = tmp_path / "audit.log"
    file = LogFile(path, max_bytes=1_000)
    file.write(b"a" * 600 + b"\n")
    older = rotate(path)
    file.write(b"b" * 600 + b"\n")
    file.close()
    assert older.read_bytes() == b"a" * 600 + b"\n"
    assert path.read_bytes() == b"b" * 600 + b"\n"
    assert not path.with_name("audit.log.1").exists()


def test_a_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "audit.log")
    file.write(b"a\n")
    (tmp_path / "audit.log").unlink()
    file.write(b"b\n")
    file.close()
    assert (tmp_path / "audit.log").read_bytes() == b"b\n"
