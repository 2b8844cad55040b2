"""Commands that fail halfway, on a full disk or without a permission, report it and end."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.dlq.records import DurableLines
from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.process import ended, start
from tests.dlq.queues import LocalQueues, event, origin_attribute

LIMIT = 40_000
"""Bytes of the largest file: the disk is full there."""


async def fill(queues: LocalQueues, count: int = 60) -> set[str]:
    bodies = [event(i, padding="x" * 1_000) for i in range(count)]
    for i, body in enumerate(bodies):
        await queues.send("dead", body, attributes=origin_attribute(f"id-{i}"))
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
    queues: LocalQueues, environ: dict[str, str], tmp_path: Path
) -> None:
    await fill(queues)
    code, output = await on_a_full_disk(environ, "pull", str(tmp_path / "night.jsonl"))
    assert (code, "night.jsonl cannot be written" in output, "Traceback" in output) == (
        1,
        True,
        False,
    )
    assert queues.visible("dead") == 60
    assert _names(tmp_path) == {"relay.log"}


async def test_a_redrive_onto_a_full_disk_can_be_resumed(
    relay: Relay, queues: LocalQueues, environ: dict[str, str], tmp_path: Path
) -> None:
    bodies = await fill(queues)
    words = ("redrive", "--yes", "--journal", str(tmp_path / "run"))
    code, output = await on_a_full_disk(environ, *words)
    assert (code, "Traceback" in output) == (1, False), output
    assert f"the journal in {tmp_path / 'run'} cannot be written" in output
    assert "to resume" in output
    assert '\\"failed\\"' in output, "the audit line has the failure too"
    assert set(queues.bodies("main")) | set(queues.bodies("dead")) == bodies
    assert queues.visible("dead") == len(queues.stored("dead")) > 0
    again = await relay("dlq", *words, *QUICK)
    assert again.code == 0, again
    assert (set(queues.bodies("main")), queues.stored("dead")) == (bodies, ())


async def test_a_redrive_that_may_not_delete_reports_what_is_done(
    relay: Relay, queues: LocalQueues
) -> None:
    await fill(queues, 12)
    queues.sqs.faults.add(Fault(action="DeleteMessageBatch", error="AccessDenied", times=9))
    ended = await relay("dlq", "redrive", "--yes", *QUICK)
    assert (ended.code, "sqs:DeleteMessage" in ended.err) == (1, True), ended
    end = json.loads(ended.out)
    assert (end["done"], end["deleted"], end["not_deleted"]) == (12, 0, 12)
    [audit] = [line for line in ended.err.splitlines() if "dlq redrive" in line and "audit" in line]
    assert "sqs:DeleteMessage" in json.loads(json.loads(audit)["message"])["failed"]


async def test_a_restore_that_may_not_send_names_the_permission(
    relay: Relay, queues: LocalQueues
) -> None:
    await fill(queues, 12)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    queues.sqs.faults.add(Fault(action="SendMessageBatch", error="AccessDenied", times=9))
    ended = await relay("dlq", "restore", "seen.jsonl", "--yes", "--journal", "run")
    assert (ended.code, "sqs:SendMessage" in ended.err) == (1, True), ended
    assert json.loads(ended.out)["done"] == 0


async def test_lines_that_a_disk_refused_once_are_never_taken_as_durable(tmp_path: Path) -> None:
    """An operating system reports a failed write once, and success the next time."""
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
