"""A command that fails half-way: a full disk, a permission that is missing. It says so and ends."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.dlq.records import DurableLines
from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted
from tests.dlq.process import ended, start

LIMIT = 40_000
"""Bytes of the largest file: the disk is full there."""


async def fill(place: Place, count: int = 60) -> set[str]:
    bodies = [event(i, padding="x" * 1_000) for i in range(count)]
    for i, body in enumerate(bodies):
        await place.send("dead", body, attributes=noted(f"id-{i}"))
    return set(bodies)


async def on_a_full_disk(environ: Mapping[str, str], *words: str) -> tuple[int, str]:
    log = Path(environ["HOME"], "relay.log")
    code = await ended(start(("dlq", *words, *QUICK), environ, log, largest=LIMIT))
    return code, _text(log)


def _text(path: Path) -> str:
    return path.read_text()


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_a_pull_onto_a_full_disk_leaves_nothing_behind_and_releases_everything(
    place: Place, environ: dict[str, str], tmp_path: Path
) -> None:
    await fill(place)
    code, told = await on_a_full_disk(environ, "pull", str(tmp_path / "night.jsonl"))
    assert (code, "night.jsonl cannot be written" in told, "Traceback" in told) == (1, True, False)
    assert place.visible("dead") == 60
    assert _names(tmp_path) == {"relay.log"}


async def test_a_redrive_onto_a_full_disk_can_be_taken_up(
    relay: Relay, place: Place, environ: dict[str, str], tmp_path: Path
) -> None:
    bodies = await fill(place)
    words = ("redrive", "--yes", "--journal", str(tmp_path / "run"))
    code, told = await on_a_full_disk(environ, *words)
    assert (code, "Traceback" in told) == (1, False), told
    assert f"the journal in {tmp_path / 'run'} cannot be written" in told
    assert "to go on where this ended" in told
    assert '\\"failed\\"' in told, "the audit line tells of it too"
    assert set(place.bodies("main")) | set(place.bodies("dead")) == bodies
    assert place.visible("dead") == len(place.stored("dead")) > 0
    again = await relay("dlq", *words, *QUICK)
    assert again.code == 0, again
    assert (set(place.bodies("main")), place.stored("dead")) == (bodies, ())


async def test_a_redrive_that_may_not_delete_tells_what_it_brought(
    relay: Relay, place: Place
) -> None:
    await fill(place, 12)
    place.sqs.faults.add(Fault(action="DeleteMessageBatch", error="AccessDenied", times=9))
    ended = await relay("dlq", "redrive", "--yes", *QUICK)
    assert (ended.code, "sqs:DeleteMessage" in ended.err) == (1, True), ended
    end = json.loads(ended.out)
    assert (end["brought"], end["deleted"], end["owed"]) == (12, 0, 12)
    [audit] = [line for line in ended.err.splitlines() if "dlq redrive" in line and "audit" in line]
    assert "sqs:DeleteMessage" in json.loads(json.loads(audit)["message"])["failed"]


async def test_a_restore_that_may_not_send_says_how_to_go_on(relay: Relay, place: Place) -> None:
    await fill(place, 12)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    place.sqs.faults.add(Fault(action="SendMessageBatch", error="AccessDenied", times=9))
    ended = await relay("dlq", "restore", "seen.jsonl", "--yes", "--journal", "run")
    assert (ended.code, "sqs:SendMessage" in ended.err) == (1, True), ended
    assert json.loads(ended.out)["brought"] == 0


async def test_lines_that_a_disk_refused_once_are_never_taken_for_safe(tmp_path: Path) -> None:
    """A system tells of a failed write once, and calls the file whole the next time."""
    failing = [OSError(5, "Input/output error")]

    def sync(_descriptor: int) -> None:
        if failing:
            raise failing.pop()

    lines = DurableLines(tmp_path / "backup.jsonl", sync=sync)
    lines.append(b"a")
    with pytest.raises(OSError, match="Input/output"):
        await lines.commit()
    with pytest.raises(OSError, match="Input/output"):
        lines.append(b"b")
    with pytest.raises(OSError, match="Input/output"):
        await lines.commit()
    lines.close()
