"""A redrive is killed at each step of a batch, and a second run with its journal finishes it."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.dlq.journal import JOURNAL, Journal, JournalConflict
from relay.dlq.snapshot import Head
from relay.local.sqs import Fault, Request
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.process import ended, start
from tests.dlq.queues import LocalQueues, event, origin_attribute

COUNT = 12


@dataclass(frozen=True)
class Step:
    """The nth request of an action, and whether SQS still executes it."""

    action: str
    executed: bool
    nth: int = 1

    def __str__(self) -> str:
        return f"{'after' if self.executed else 'before'} {self.action} {self.nth}"


STEPS = [
    Step("ReceiveMessage", executed=True),
    Step("SendMessageBatch", executed=False),
    Step("SendMessageBatch", executed=True),
    Step("DeleteMessageBatch", executed=False),
    Step("DeleteMessageBatch", executed=True),
    Step("SendMessageBatch", executed=True, nth=2),
    Step("DeleteMessageBatch", executed=True, nth=2),
]


async def killed(queues: LocalQueues, environ: dict[str, str], step: Step, *words: str) -> int:
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
        return None if step.executed else Fault(refuse=True)

    queues.hook = strike
    code = await ended(process)
    queues.hook = None
    return code


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_a_kill_loses_nothing_and_a_second_run_finishes(
    relay: Relay, queues: LocalQueues, environ: dict[str, str], tmp_path: Path, step: Step
) -> None:
    bodies = [event(i) for i in range(COUNT)]
    for i, body in enumerate(bodies):
        await queues.send("dead", body, attributes=origin_attribute(f"id-{i}"))
    words = ("--journal", str(tmp_path / "run"))
    assert await killed(queues, environ, step, *words) == -signal.SIGKILL
    assert set(queues.bodies("main")) | set(queues.bodies("dead")) == set(bodies)
    queues.clock.advance(3_600)
    again = await relay("dlq", "redrive", "--yes", *QUICK, *words)
    assert again.code == 0, again
    assert queues.stored("dead") == ()
    assert set(queues.bodies("main")) == set(bodies)
    assert {origin["id"] for origin in queues.origins("main")} == {f"id-{i}" for i in range(COUNT)}
    assert len(queues.bodies("main")) <= COUNT + 10, "more than one batch was repeated"


async def test_on_a_fifo_queue_the_repeat_is_dropped_as_a_duplicate(
    relay: Relay, queues: LocalQueues, environ: dict[str, str], tmp_path: Path
) -> None:
    for i in range(4):
        attributes = origin_attribute(f"id-{i}", source="main.fifo")
        await queues.send("dead.fifo", event(i), attributes=attributes, group_id=f"g{i}")
    words = ("--journal", str(tmp_path / "run"), "--lease", "10", "--queue", "main.fifo")
    step = Step("SendMessageBatch", executed=True)
    assert await killed(queues, environ, step, *words) == -signal.SIGKILL
    assert len(queues.bodies("main.fifo")) == 4
    queues.clock.advance(60)
    assert (await relay("dlq", "redrive", "--yes", *QUICK, *words)).code == 0
    assert len(queues.bodies("main.fifo")) == 4
    assert queues.stored("dead.fifo") == ()


async def test_without_the_journal_at_worst_the_batch_is_repeated_under_its_ids(
    relay: Relay, queues: LocalQueues, environ: dict[str, str], tmp_path: Path
) -> None:
    for i in range(COUNT):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    step = Step("DeleteMessageBatch", executed=False)
    await killed(queues, environ, step, "--journal", str(tmp_path / "lost"))
    queues.clock.advance(3_600)
    assert (await relay("dlq", "redrive", "--yes", *QUICK)).code == 0
    assert queues.stored("dead") == ()
    assert {origin["id"] for origin in queues.origins("main")} == {f"id-{i}" for i in range(COUNT)}
    assert len(queues.bodies("main")) <= 2 * COUNT


async def test_a_stop_signal_finishes_the_batch_and_says_how_to_resume(
    relay: Relay, queues: LocalQueues, environ: dict[str, str], tmp_path: Path
) -> None:
    for i in range(80):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    words = ("dlq", "redrive", "--yes", *QUICK, "--journal", str(tmp_path / "run"))
    process = start(words, environ, tmp_path / "relay.log")
    pid = process.pid or 0

    def interrupt(request: Request) -> Fault | None:
        if request.action == "SendMessageBatch":
            queues.hook = None
            os.kill(pid, signal.SIGINT)
        return None

    queues.hook = interrupt
    assert await ended(process) == 3
    assert f"--journal {tmp_path / 'run'}" in (tmp_path / "relay.log").read_text()
    assert queues.visible("dead") == len(queues.stored("dead")) > 0
    assert (await relay(*words)).code == 0
    assert len(queues.bodies("main")) == 80


def test_one_process_at_a_time_uses_a_journal(tmp_path: Path) -> None:
    head = Head(queue="dead", arn="arn:aws:sqs:r:0:dead", taken_at=0.0, retention=1.0, fifo=False)
    journal = Journal(tmp_path / "run", head, {})
    with pytest.raises(JournalConflict, match="is using"):
        Journal(tmp_path / "run", head, {})
    journal.close()
    Journal(tmp_path / "run", head, {}).close()


def test_a_journal_that_a_kill_cut_off_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("command", [("drop", "--code", "*"), ("redrive",)], ids=str)
async def test_a_kill_while_the_plan_is_made_hides_messages_for_the_lease_only(
    queues: LocalQueues, environ: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    for i in range(COUNT):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    process = start(("dlq", *command, "--lease", "10", *QUICK), environ, tmp_path / "log")
    pid, receives = process.pid or 0, 0

    def strike(request: Request) -> Fault | None:
        nonlocal receives
        receives += request.action == "ReceiveMessage"
        if receives == 2:
            os.kill(pid, signal.SIGKILL)
        return None

    queues.hook = strike
    assert await ended(process) == -signal.SIGKILL
    assert queues.visible("dead") < COUNT
    queues.clock.advance(10.1)
    assert queues.visible("dead") == COUNT
