"""A redrive is killed at each step of a batch, and a second one with its journal finishes it."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.dlq.journal import JOURNAL, Journal, JournalConflict
from relay.dlq.snapshot import Head
from relay.local.sqs import Fault, Request
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted
from tests.dlq.process import ended, start

COUNT = 12


@dataclass(frozen=True)
class Step:
    """The nth request of an action, and whether SQS still carries it out."""

    action: str
    carried_out: bool
    nth: int = 1

    def __str__(self) -> str:
        return f"{'after' if self.carried_out else 'before'} {self.action} {self.nth}"


STEPS = [
    Step("ReceiveMessage", carried_out=True),
    Step("SendMessageBatch", carried_out=False),
    Step("SendMessageBatch", carried_out=True),
    Step("DeleteMessageBatch", carried_out=False),
    Step("DeleteMessageBatch", carried_out=True),
    Step("SendMessageBatch", carried_out=True, nth=2),
    Step("DeleteMessageBatch", carried_out=True, nth=2),
]


async def killed(place: Place, environ: dict[str, str], step: Step, *words: str) -> int:
    """Run the command as a process and kill it at the step; its exit code."""
    log = Path(environ["HOME"], "relay.log")
    process = start(("dlq", "redrive", "--yes", *QUICK, *words), environ, log)
    pid = process.pid or 0
    met = 0

    def strike(request: Request) -> Fault | None:
        nonlocal met
        met += request.action == step.action
        if request.action != step.action or met != step.nth:
            return None
        os.kill(pid, signal.SIGKILL)
        return None if step.carried_out else Fault(refuse=True)

    place.hook = strike
    code = await ended(process)
    place.hook = None
    return code


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_a_kill_loses_nothing_and_a_second_run_finishes(
    relay: Relay, place: Place, environ: dict[str, str], tmp_path: Path, step: Step
) -> None:
    bodies = [event(i) for i in range(COUNT)]
    for i, body in enumerate(bodies):
        await place.send("dead", body, attributes=noted(f"id-{i}"))
    words = ("--journal", str(tmp_path / "run"))
    assert await killed(place, environ, step, *words) == -signal.SIGKILL
    assert set(place.bodies("main")) | set(place.bodies("dead")) == set(bodies)
    place.clock.advance(3_600)
    again = await relay("dlq", "redrive", "--yes", *QUICK, *words)
    assert again.code == 0, again
    assert place.stored("dead") == ()
    assert set(place.bodies("main")) == set(bodies)
    assert {origin["id"] for origin in place.origins("main")} == {f"id-{i}" for i in range(COUNT)}
    assert len(place.bodies("main")) <= COUNT + 10, "more than one batch was repeated"


async def test_on_a_fifo_queue_the_repeat_is_swallowed(
    relay: Relay, place: Place, environ: dict[str, str], tmp_path: Path
) -> None:
    for i in range(4):
        attributes = noted(f"id-{i}", source="main.fifo")
        await place.send("dead.fifo", event(i), attributes=attributes, group_id=f"g{i}")
    words = ("--journal", str(tmp_path / "run"), "--lease", "10", "--queue", "main.fifo")
    step = Step("SendMessageBatch", carried_out=True)
    assert await killed(place, environ, step, *words) == -signal.SIGKILL
    assert len(place.bodies("main.fifo")) == 4
    place.clock.advance(60)
    assert (await relay("dlq", "redrive", "--yes", *QUICK, *words)).code == 0
    assert len(place.bodies("main.fifo")) == 4
    assert place.stored("dead.fifo") == ()


async def test_without_the_journal_at_worst_the_batch_is_repeated_under_its_ids(
    relay: Relay, place: Place, environ: dict[str, str], tmp_path: Path
) -> None:
    for i in range(COUNT):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))
    step = Step("DeleteMessageBatch", carried_out=False)
    await killed(place, environ, step, "--journal", str(tmp_path / "lost"))
    place.clock.advance(3_600)
    assert (await relay("dlq", "redrive", "--yes", *QUICK)).code == 0
    assert place.stored("dead") == ()
    assert {origin["id"] for origin in place.origins("main")} == {f"id-{i}" for i in range(COUNT)}
    assert len(place.bodies("main")) <= 2 * COUNT


async def test_a_stop_signal_finishes_the_batch_and_says_how_to_go_on(
    relay: Relay, place: Place, environ: dict[str, str], tmp_path: Path
) -> None:
    for i in range(80):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))
    words = ("dlq", "redrive", "--yes", *QUICK, "--journal", str(tmp_path / "run"))
    process = start(words, environ, tmp_path / "relay.log")
    pid = process.pid or 0

    def interrupt(request: Request) -> Fault | None:
        if request.action == "SendMessageBatch":
            place.hook = None
            os.kill(pid, signal.SIGINT)
        return None

    place.hook = interrupt
    assert await ended(process) == 3
    assert f"--journal {tmp_path / 'run'}" in (tmp_path / "relay.log").read_text()
    assert place.visible("dead") == len(place.stored("dead")) > 0
    assert (await relay(*words)).code == 0
    assert len(place.bodies("main")) == 80


def test_one_process_at_a_time_works_with_a_journal(tmp_path: Path) -> None:
    head = Head(queue="dead", arn="arn:aws:sqs:r:0:dead", taken_at=0.0, retention=1.0, fifo=False)
    journal = Journal(tmp_path / "run", head, {})
    with pytest.raises(JournalConflict, match="at work"):
        Journal(tmp_path / "run", head, {})
    journal.close()
    Journal(tmp_path / "run", head, {}).close()


def test_a_journal_that_a_kill_tore_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    head = Head(queue="dead", arn="arn:aws:sqs:r:0:dead", taken_at=0.0, retention=1.0, fifo=False)
    journal = Journal(tmp_path / "run", head, {})
    journal.record_deleted(["m-1"])
    journal.record_deleted(["m-2"])
    journal.close()
    path = tmp_path / "run" / JOURNAL
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        again = Journal(tmp_path / "run", head, {})
        again.record_deleted(["m-3"])
        again.close()
        read = Journal(tmp_path / "run", head, {})
        read.close()
        assert (read.id, read.deleted) == (journal.id, {"m-1", "m-3"})
