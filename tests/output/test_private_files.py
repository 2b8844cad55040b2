"""Only their owner can read the files that the relay and its commands write."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.dlq.journal import BACKUP, JOURNAL, Journal
from relay.dlq.snapshot import Head, Snapshot, SnapshotWriter
from relay.output.private_files import append_private, make_private_directory, narrow
from relay.telemetry.log_writer import LogFile

HEAD = Head(
    queue="dead", arn="arn:aws:sqs:us-east-1:1:dead", taken_at=1.0, retention=60, fifo=False
)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Without this a strict umask of whoever runs the tests would do the work."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def write_snapshot(path: Path) -> None:
    with SnapshotWriter(path, HEAD) as writer:
        writer.close(complete=True)
    assert list(Snapshot(path)) == []


def write_log(path: Path) -> None:
    log = LogFile(path, max_bytes=1)
    for _ in range(3):
        log.write(b"line\n")
    log.close()


def write_journal(path: Path) -> None:
    Journal(path, HEAD, {}).close()


@pytest.mark.parametrize("write", [write_snapshot, write_log, write_journal])
def test_everything_that_is_written_is_private(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / "new.gz")
    for path in tmp_path.rglob("*"):
        assert mode(path) == ("700" if path.is_dir() else "600"), path


def test_an_existing_log_and_its_rotated_files_become_private_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("log", "log.1", "log.5"):
        (tmp_path / name).write_bytes(b"x\n")
        (tmp_path / name).chmod(0o644)
    write_log(tmp_path / "log")
    assert {mode(path) for path in tmp_path.iterdir()} == {"600"}
    said = capsys.readouterr().err
    assert f"relay: the mode of {tmp_path / 'log.5'} was 644 and is now 600\n" in said
    assert len(said.splitlines()) == 3


def test_an_existing_journal_becomes_private_and_keeps_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_journal(tmp_path)
    before = (tmp_path / JOURNAL).read_bytes()
    for name in (JOURNAL, BACKUP):
        (tmp_path / name).chmod(0o666)
    write_journal(tmp_path)
    assert (tmp_path / JOURNAL).read_bytes() == before
    assert {mode(tmp_path / name) for name in (JOURNAL, BACKUP)} == {"600"}
    assert capsys.readouterr().err.count("was 666 and is now 600") == 2


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_directory(tmp_path / "new" / "nested")
    assert (mode(tmp_path), mode(tmp_path / "new")) == ("755", "700")


def test_only_regular_files_are_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    before = mode(Path(os.devnull))
    append_private(Path(os.devnull)).close()
    narrow(Path("/no/such/file"))
    assert mode(Path(os.devnull)) == before
    assert capsys.readouterr().err == ""
