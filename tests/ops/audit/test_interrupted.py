"""An audit that is interrupted, or that the server does not let finish, goes on where it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.destinations.inngest.answers import Answer
from relay.model.destination import Unavailable
from relay.ops.audit.audit import BATCH
from relay.ops.audit.requests import ATTEMPTS
from relay.ops.inngest_api import UnusableAnswer
from tests.ops.audit.conftest import World, as_document, found, log_lines
from tests.ops.audit.scripted import ScriptedQueries, usual

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def references(count: int) -> list[str]:
    return [
        f"01M8NY0AAMK38GQM6KRZ2{ALPHABET[i // 1024]}{ALPHABET[i // 32 % 32]}{ALPHABET[i % 32]}00"
        for i in range(count)
    ]


def log_of(path: Path, count: int) -> Path:
    rows = [("media/uploaded", f"e{i}", ref) for i, ref in enumerate(references(count))]
    path.write_text(log_lines(*rows))
    return path


def run_requests(queries: ScriptedQueries) -> list[str]:
    return [path for path in queries.paths if path.endswith("/runs")]


async def test_a_resumed_audit_asks_for_no_event_twice(world: World, tmp_path: Path) -> None:
    log, queries, stop = log_of(tmp_path / "log", 3 * BATCH), ScriptedQueries(), asyncio.Event()

    def progress(done: int, _total: int) -> None:
        if done >= BATCH:
            stop.set()

    first = await world.audit(logs=[log], queries=queries, stop=stop, progress=progress)
    assert (first.events, first.pending, first.complete) == (BATCH, 2 * BATCH, False)
    second = await world.audit(logs=[log], queries=queries)
    assert (found(second), second.complete) == ({"completed": 3 * BATCH}, True)
    assert len(run_requests(queries)) == len(set(run_requests(queries))) == 3 * BATCH


async def test_a_server_that_stops_answering_loses_nothing_of_what_was_read(
    world: World, tmp_path: Path
) -> None:
    log = log_of(tmp_path / "log", 2 * BATCH)
    left = [BATCH + BATCH // 2]

    def answer(path: str) -> Any:
        if path.endswith("/runs"):
            left[0] -= 1
            if left[0] < 0:
                raise Unavailable("connection refused")
        return usual(path)

    queries = ScriptedQueries(answer)
    with pytest.raises(Unavailable):
        await world.audit(logs=[log], queries=queries)
    left[0] = 1_000_000
    queries.paths.clear()
    report = await world.audit(logs=[log], queries=queries)
    assert found(report) == {"completed": 2 * BATCH}
    assert len(run_requests(queries)) <= BATCH


async def test_an_audit_stopped_while_it_lists_events_goes_on_at_the_same_page(
    world: World,
) -> None:
    await world.post(*({"name": "media/uploaded", "id": str(i)} for i in range(200)))
    stop = asyncio.Event()
    first = await world.audit(stop=stop, progress=lambda _done, _total: stop.set())
    assert not first.complete
    assert first.pending == 51
    second = await world.audit()
    whole = await world.audit(state="another")
    assert as_document(second) == as_document(whole)
    assert second.complete


async def test_a_finished_audit_only_looks_again_at_what_had_not_ended(world: World) -> None:
    await world.post({"name": "media/uploaded"}, {"name": "media/long"}, {"name": "media/none"})
    await world.audit()
    seen: list[int] = []
    report = await world.audit(progress=lambda done, total: seen.append(total - done))
    assert found(report) == {"completed": 1, "running": 1, "unheard": 1}
    # Apps, functions of two apps, and the runs of two events.
    assert report.requests == 5


async def test_a_busy_server_is_asked_again_and_a_refused_key_is_not(
    world: World, tmp_path: Path
) -> None:
    log = log_of(tmp_path / "log", 1)
    answers = [Answer(503, "", {}), Answer(429, "", {"retry-after": "1"})]
    queries = ScriptedQueries(
        lambda path: answers.pop() if answers and path.endswith("/runs") else usual(path)
    )
    assert found(await world.audit(logs=[log], queries=queries)) == {"completed": 1}
    refused = ScriptedQueries(lambda _path: Answer(401, "Authentication failed\n", {}))
    with pytest.raises(UnusableAnswer, match="RELAY_INNGEST_SIGNING_KEY"):
        await world.audit(logs=[log], queries=refused, state="other")
    assert len(refused.paths) == 1


async def test_a_server_that_never_answers_is_not_asked_without_end(world: World) -> None:
    def answer(_path: str) -> Any:
        raise Unavailable("no answer")

    queries = ScriptedQueries(answer)
    with pytest.raises(Unavailable):
        await world.audit(queries=queries)
    assert len(queries.paths) == ATTEMPTS


async def test_ctrl_c_finishes_what_is_under_way_and_the_state_resumes_it(
    world: World, settings: dict[str, str], tmp_path: Path
) -> None:
    await world.post(*({"name": "media/uploaded", "id": str(i)} for i in range(120)))
    state = tmp_path / "state"
    words = [sys.executable, "-m", "relay", "audit", "--json", "--state", str(state)]
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "RELAY_"))}
    process = await asyncio.create_subprocess_exec(
        *words,
        *("--request-rate", "20"),
        env={**kept, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stderr.readline()
    assert json.loads(line)["progress"] == "looked up"
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    report = json.loads(out)
    assert process.returncode == 3
    assert report["pending"] > 0
    assert b"Traceback" not in err
    again = await asyncio.create_subprocess_exec(
        *words,
        *("--request-rate", "1000"),
        env={**kept, **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    assert again.stdout is not None
    report = json.loads(await again.stdout.read())
    assert (await again.wait(), report["pending"], report["states"]["completed"]) == (0, 0, 120)
