"""A rerun that is killed, repeated, or refused publishes every event, under one new id."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest
from starlette.applications import Starlette

from relay.dlq.sending import WINDOW
from relay.http.server import serving
from relay.local.inngest import Function
from relay.local.sqs import Fault, Request
from tests.dlq.process import ended, start
from tests.ops.audit.conftest import log_lines
from tests.ops.audit.test_rerun import Rerun, rerun  # noqa: F401 - a fixture

COUNT = WINDOW + 10
WORDS = ("audit", "--failed", "--rerun", "--yes", "--journal", "j")


async def fail_all(rerun: Rerun) -> set[str]:  # noqa: F811 - the fixture
    """Failed runs of this many events; the ids under which they have to be published."""
    await rerun.world.post(*({"name": "media/broken", "id": f"b{n}"} for n in range(COUNT)))
    return {f"b{n}.r1" for n in range(COUNT)}


async def deliver(rerun: Rerun) -> Counter[str]:  # noqa: F811 - the fixture
    """Post what is in the queue, as a relay does; how often each of these ids ran."""
    server = rerun.world.server
    server.functions[:] = [Function(name="fails", on="media/broken", app="media")]
    await rerun.world.post(*({"id": e["id"], "name": e["name"]} for e in rerun.sent()))
    await server.settled()
    return Counter(run.event_id for run in server.runs if run.event_id.endswith(".r1"))


@pytest.mark.parametrize("executed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_kill_around_a_send_loses_nothing_and_a_second_run_finishes(
    rerun: Rerun,  # noqa: F811 - the fixture
    nth: int,
    executed: bool,
) -> None:
    expected = await fail_all(rerun)
    process = start(WORDS, {**os.environ, **rerun.settings}, rerun.directory / "out")
    pid, met = process.pid or 0, 0

    def strike(request: Request) -> Fault | None:
        nonlocal met
        met += request.action == "SendMessageBatch"
        if request.action != "SendMessageBatch" or met != nth:
            return None
        os.kill(pid, signal.SIGKILL)
        return None if executed else Fault(refuse=True)

    rerun.hook = strike
    assert await ended(process) == -signal.SIGKILL
    rerun.hook = None
    before = len(rerun.sent())
    assert before < COUNT
    again = await rerun("--yes", "--journal", "j")
    assert again.code == 0, again
    assert {event["id"] for event in rerun.sent()} == expected
    assert len(rerun.sent()) <= COUNT + WINDOW
    settled = len(rerun.sent())
    assert (await rerun("--yes", "--journal", "j")).code == 0
    assert len(rerun.sent()) == settled
    assert await deliver(rerun) == dict.fromkeys(expected, 1)


async def test_a_second_run_without_the_journal_uses_the_same_ids_and_nothing_runs_twice(
    rerun: Rerun,  # noqa: F811 - the fixture
) -> None:
    expected = await fail_all(rerun)
    for journal in ("one", "two"):
        assert (await rerun("--yes", "--journal", journal)).code == 0
    assert {event["id"] for event in rerun.sent()} == expected
    assert await deliver(rerun) == dict.fromkeys(expected, 1)
    after = await rerun("--yes", "--journal", "three")
    assert f"{COUNT} events of failed runs are left out: they were published again before" in (
        after.err
    )
    assert len(rerun.sent()) == 2 * COUNT


async def test_what_was_published_again_after_the_time_window_is_left_out(
    rerun: Rerun,  # noqa: F811 - the fixture
) -> None:
    (reference,) = await rerun.world.post({"name": "media/broken", "id": "b"})
    await rerun.world.post({"name": "media/broken", "id": "b.r1"})
    log = rerun.directory / "relay.log"
    log.write_text(log_lines(("media/broken", "b", reference), at=time.time() - 3_600))
    window = ("--since", "2h", "--to", "30m", "--log", str(log))
    result = await rerun("--yes", "--journal", "j", *window)
    assert "1 events of failed runs are left out: they were published again before" in result.err
    assert rerun.sent() == []


async def test_a_wrong_key_publishes_nothing_and_leaves_no_journal(
    rerun: Rerun,  # noqa: F811 - the fixture
) -> None:
    await fail_all(rerun)
    rerun.settings["RELAY_INNGEST_SIGNING_KEY"] = "abcd"
    result = await rerun("--yes", "--journal", "j")
    assert result.code == 3
    assert "RELAY_INNGEST_SIGNING_KEY" in result.err
    assert rerun.sent() == []
    assert not any(rerun.directory.iterdir())


async def test_a_server_without_its_api_publishes_nothing(
    rerun: Rerun,  # noqa: F811 - the fixture
) -> None:
    await fail_all(rerun)
    async with serving(Starlette()) as port:
        rerun.settings["RELAY_INNGEST_URL"] = f"http://127.0.0.1:{port}"
        result = await rerun("--yes", "--journal", "j")
    assert result.code == 3
    assert "not a response of the API" in result.err
    assert rerun.sent() == []
