"""Whatever the server answers, and whatever a log has, an audit reports or says why it cannot."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from relay.destinations.inngest.answers import Answer
from relay.model.destination import Unavailable
from relay.ops.audit.accepted import Scope, accepted_in
from relay.ops.audit.rerun import failed_message
from relay.ops.audit.state import EventRuns, Run
from relay.ops.inngest_api import UnusableAnswer
from tests.mutations import OTHERS, mutations
from tests.ops.audit.conftest import World, log_lines
from tests.ops.audit.scripted import APP, COMPLETED, TRIGGERS, ScriptedQueries, listed, usual

REFERENCE = "01M8NY0AAMK38GQM6KRZ2K7000"
STORED = {
    "internal_id": REFERENCE,
    "id": "e-1",
    "name": "media/uploaded",
    "received_at": "2026-11-30T10:00:00.5Z",
    "data": {"n": 1},
}
EVENT = EventRuns(
    "media/broken", "e-1", (REFERENCE,), 5.0, 9.0, stored=True, runs=(Run("r", "f", "failed"),)
)


async def audited(world: World, path: str, body: bytes, log: Path, name: str) -> None:
    """An audit in which requests whose path ends so are answered with this body."""
    answer = Answer(200, body.decode(errors="replace"), {})
    queries = ScriptedQueries(lambda asked: answer if asked.endswith(path) else usual(asked))
    with suppress(Unavailable, UnusableAnswer):
        report = await world.audit(logs=[log], queries=queries, state=name)
        json.dumps(report.as_json())
        assert report.events + report.pending == 1


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/apps", listed(APP)),
        ("/functions", listed(TRIGGERS)),
        ("/runs", listed(COMPLETED)),
    ],
)
async def test_any_answer_is_read_or_is_an_error(
    world: World, tmp_path: Path, path: str, answer: Any
) -> None:
    log = tmp_path / "log"
    log.write_text(log_lines(("media/uploaded", "e-1", REFERENCE)))
    for number, body in enumerate(mutations(answer)):
        await audited(world, path, body, log, f"{number}.state")
        (tmp_path / f"{number}.state").unlink()


async def test_any_list_of_events_is_read_or_is_an_error(world: World, tmp_path: Path) -> None:
    first = True

    def once(body: bytes) -> Any:
        def answer(path: str) -> Any:
            nonlocal first
            if path == "/v1/events" and first:
                first = False
                return Answer(200, body.decode(errors="replace"), {})
            return {"data": [], "metadata": {}} if path == "/v1/events" else usual(path)

        return answer

    for number, body in enumerate(mutations({"data": [STORED], "metadata": {}})):
        first = True
        with suppress(Unavailable, UnusableAnswer):
            await world.audit(queries=ScriptedQueries(once(body)), state=f"{number}.state")
        (tmp_path / f"{number}.state").unlink()


def test_any_line_of_a_log_is_read_or_skipped() -> None:
    line = log_lines(("media/uploaded", "e-1", REFERENCE)).strip()
    scope = Scope(since=0.0, until=4e9, names=("media/*",))
    lines = [body.decode(errors="replace") for body in mutations(json.loads(line))]
    others: list[None] = []
    found = list(accepted_in([line, *lines], scope, lambda: others.append(None)))
    assert found[0].reference == REFERENCE
    assert all(f"{one.name}{one.id}".isprintable() or one.name for one in found)


def test_any_stored_event_becomes_a_message() -> None:
    for field in STORED:
        for other in OTHERS:
            message = failed_message(EVENT, STORED | {field: other}, "events")
            body = json.loads(message.body)
            assert (body["id"], body["name"]) == ("e-1", "media/broken")


@pytest.mark.parametrize("seed", range(20))
def test_a_log_of_any_bytes_is_read(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    text = bytearray(log_lines(("media/uploaded", "e-1", REFERENCE)).encode() * 20)
    for _ in range(200):
        text[choice.randrange(len(text))] = choice.randrange(256)
    (tmp_path / "log").write_bytes(text)
    scope = Scope(since=0.0, until=4e9)
    with (tmp_path / "log").open(errors="replace") as lines:
        assert len(list(accepted_in(lines, scope, lambda: None))) <= 20
