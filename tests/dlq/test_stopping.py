"""A stop signal works in every phase of a command, and nothing new is begun after it."""

import os
import signal
from pathlib import Path

import pytest

from relay.local.inngest import InngestServer
from relay.local.sqs import Fault, Request
from tests.dlq.conftest import QUICK
from tests.dlq.process import ended, start
from tests.dlq.queues import LocalQueues, event, origin_attribute


async def interrupted(
    queues: LocalQueues, environ: dict[str, str], action: str, *words: str, by: int = signal.SIGINT
) -> tuple[int, str]:
    """Run the command as a process, interrupt it at the first request of an action."""
    log = Path(environ["HOME"], "relay.log")
    process = start(("dlq", *words, *QUICK), environ, log)
    pid = process.pid or 0

    def strike(request: Request) -> Fault | None:
        if request.action == action:
            queues.hook = None
            os.kill(pid, by)
        return None

    queues.hook = strike
    return await ended(process), _text(log)


def _text(path: Path) -> str:
    return path.read_text()


async def test_a_drop_that_is_stopped_while_it_plans_deletes_nothing(
    queues: LocalQueues, environ: dict[str, str]
) -> None:
    for i in range(30):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    words = ("drop", "--name", "*", "--confirm", "dead")
    code, output = await interrupted(queues, environ, "ReceiveMessage", *words)
    assert (code, "nothing was dropped" in output) == (3, True), output
    assert (len(queues.stored("dead")), queues.visible("dead")) == (30, 30)


async def test_a_stopped_plan_is_not_shown(queues: LocalQueues, environ: dict[str, str]) -> None:
    for i in range(30):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    code, output = await interrupted(queues, environ, "ReceiveMessage", "redrive")
    assert (code, "would be redriven" in output) == (3, False), output
    assert queues.visible("dead") == 30


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_a_redrive_can_be_stopped_after_its_canary(
    queues: LocalQueues, environ: dict[str, str], by: int
) -> None:
    for i in range(80):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    async with InngestServer(0) as inngest:
        environ |= {"RELAY_INNGEST_EVENT_KEY": "local", "RELAY_CONFIRM": "off"}
        environ["RELAY_INNGEST_URL"] = inngest.url
        words = ("redrive", "--yes", "--canary", "1", "--journal", environ["HOME"] + "/run")
        code, output = await interrupted(queues, environ, "SendMessageBatch", *words, by=by)
    assert (code, "to resume" in output) == (3, True), output
    assert queues.visible("dead") == len(queues.stored("dead")) > 0


async def test_a_redrive_that_is_stopped_while_it_plans_its_canary_sends_nothing(
    queues: LocalQueues, environ: dict[str, str]
) -> None:
    for i in range(30):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    environ["RELAY_INNGEST_EVENT_KEY"] = "local"
    words = ("redrive", "--yes", "--canary", "1", "--journal", environ["HOME"] + "/run")
    code, output = await interrupted(queues, environ, "ReceiveMessage", *words)
    assert code == 3, output
    assert (queues.bodies("main"), queues.visible("dead")) == ([], 30)
