"""A signal to stop is heard in every phase of a command, and what was not begun is not begun."""

import os
import signal
from pathlib import Path

import pytest

from relay.local.inngest import InngestServer
from relay.local.sqs import Fault, Request
from tests.dlq.conftest import QUICK
from tests.dlq.place import Place, event, noted
from tests.dlq.process import ended, start


async def interrupted(
    place: Place, environ: dict[str, str], action: str, *words: str, by: int = signal.SIGINT
) -> tuple[int, str]:
    """Run the command as a process, interrupt it at the first request of an action."""
    log = Path(environ["HOME"], "relay.log")
    process = start(("dlq", *words, *QUICK), environ, log)
    pid = process.pid or 0

    def strike(request: Request) -> Fault | None:
        if request.action == action:
            place.hook = None
            os.kill(pid, by)
        return None

    place.hook = strike
    return await ended(process), _text(log)


def _text(path: Path) -> str:
    return path.read_text()


async def test_a_drop_that_is_stopped_while_it_looks_deletes_nothing(
    place: Place, environ: dict[str, str]
) -> None:
    for i in range(30):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))
    words = ("drop", "--name", "*", "--confirm", "dead")
    code, told = await interrupted(place, environ, "ReceiveMessage", *words)
    assert (code, "nothing was dropped" in told) == (3, True), told
    assert (len(place.stored("dead")), place.visible("dead")) == (30, 30)


async def test_a_plan_that_is_stopped_is_not_told_as_a_whole_one(
    place: Place, environ: dict[str, str]
) -> None:
    for i in range(30):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))
    code, told = await interrupted(place, environ, "ReceiveMessage", "redrive")
    assert (code, "would go" in told) == (3, False), told
    assert place.visible("dead") == 30


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_a_redrive_hears_the_signal_after_its_canary_too(
    place: Place, environ: dict[str, str], by: int
) -> None:
    for i in range(80):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))
    async with InngestServer(0) as inngest:
        environ |= {"RELAY_INNGEST_EVENT_KEY": "local", "RELAY_CONFIRM": "off"}
        environ["RELAY_INNGEST_URL"] = inngest.url
        words = ("redrive", "--yes", "--canary", "1", "--journal", environ["HOME"] + "/run")
        code, told = await interrupted(place, environ, "SendMessageBatch", *words, by=by)
    assert (code, "to go on where this ended" in told) == (3, True), told
    assert place.visible("dead") == len(place.stored("dead")) > 0


async def test_a_redrive_that_is_stopped_while_it_plans_its_canary_brings_nothing(
    place: Place, environ: dict[str, str]
) -> None:
    for i in range(30):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))
    environ["RELAY_INNGEST_EVENT_KEY"] = "local"
    words = ("redrive", "--yes", "--canary", "1", "--journal", environ["HOME"] + "/run")
    code, told = await interrupted(place, environ, "ReceiveMessage", *words)
    assert code == 3, told
    assert (place.bodies("main"), place.visible("dead")) == ([], 30)
