"""`relay trace` reads what a real Inngest server answered: batches, caches, errors and pages."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from relay.destinations.inngest.queries import InngestQueries
from relay.http.server import serving
from relay.ops.trace.inngest import InngestSource
from relay.ops.trace.timeline import KnownIds, SourceResult, SourceUnavailable

RECORDING = Path(__file__).parents[2] / "recordings" / "inngest-1.43.jsonl"
LINES = [json.loads(line) for line in RECORDING.read_text("utf-8").rstrip("\n").split("\n")]
NOW = 1_796_036_344.0
"""A moment after the runs were recorded."""


def recorded(server: str, about: str) -> dict[str, Any]:
    """The exchange with this description."""
    found: dict[str, Any] = next(
        line for line in LINES if line["server"] == server and line["about"] == about
    )
    return found


def response(line: dict[str, Any]) -> Response:
    """The recorded response."""
    answer = line["response"]
    body = answer["body"]
    text = body if isinstance(body, str) else json.dumps(body)
    return PlainTextResponse(text, answer["status"], answer["headers"])


class Recorded:
    """A server that gives recorded answers by path, several in their order, the last for good."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self._answers: dict[str, deque[Response]] = defaultdict(deque)

    def answers(self, path: str, *lines: dict[str, Any]) -> None:
        """Answer requests for this path so."""
        self._answers[path].extend(response(line) for line in lines)

    async def respond(self, request: Request) -> Response:
        """The next answer for the path; what the server's UI answers for an unknown one."""
        self.asked.append(str(request.url).removeprefix(self.url))
        answers = self._answers[request.url.path]
        if not answers:
            return response(
                recorded("dev", "unknown path: the page of the UI (empty in this build)")
            )
        return answers.popleft() if len(answers) > 1 else answers[0]


@pytest.fixture
async def server() -> AsyncIterator[Recorded]:
    found = Recorded()
    app = Starlette(routes=[Route("/{path:path}", found.respond)])
    async with serving(app) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found


@pytest.fixture
def find(server: Recorded) -> Callable[..., Any]:
    async def ask(query: str, *, clock: float = NOW, since: float = 0.0) -> SourceResult:
        async with InngestQueries(server.url) as queries:
            source = InngestSource(queries, since=since, clock=lambda: clock)
            return await source.find(KnownIds(query))

    return ask


def store(server: Recorded, ulid: str, received: str = "2026-11-30T10:58:34Z") -> None:
    """The event is stored; only this answer is made from another recorded one."""
    line = json.loads(json.dumps(recorded("dev", "one event read back")))
    line["response"]["body"]["data"] |= {"internal_id": ulid, "id": ulid, "received_at": received}
    server.answers(f"/v1/events/{ulid}", line)


def ulid_of(line: dict[str, Any]) -> str:
    return str(line["request"]["path"].partition("/events/")[2][:26])


def what(found: SourceResult) -> list[str]:
    return [entry.what for entry in found.entries]


@pytest.mark.parametrize("event", [1, 2, 3])
async def test_the_run_of_a_batch_is_shown_for_each_of_its_events(
    event: int, server: Recorded, find: Callable[..., Any]
) -> None:
    line = recorded("dev", f"v2, the batch's run, asked by event {event} of three")
    ulid = ulid_of(line)
    store(server, ulid)
    server.answers(f"/api/v2/events/{ulid}/runs", line)
    found = await find(ulid)
    assert what(found)[1:] == ["batched started with a batch", "batched ended: completed"]
    assert found.entries[1].details["batch_id"] == "01M8P1QC9D31WSW2D4EAHQXNV0"
    assert found.gap is None


async def test_a_failed_run_is_shown_with_its_times(
    server: Recorded, find: Callable[..., Any]
) -> None:
    line = recorded("dev", "v2, failed")
    store(server, ulid_of(line))
    server.answers(f"/api/v2/events/{ulid_of(line)}/runs", line)
    found = await find(ulid_of(line))
    assert what(found)[1:] == ["fails started", "fails ended: failed"]
    assert all(entry.at is not None for entry in found.entries)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("QUEUED", ["fails is queued and has not started"]),
        ("RUNNING", ["fails started", "fails is running"]),
    ],
)
async def test_a_run_that_has_not_ended_is_not_shown_as_ended(
    status: str, shown: list[str], server: Recorded, find: Callable[..., Any]
) -> None:
    line = json.loads(json.dumps(recorded("dev", "v2, failed")))
    line["response"]["body"]["data"][0] |= {"status": status, "endedAt": None}
    store(server, ulid_of(line))
    server.answers(f"/api/v2/events/{ulid_of(line)}/runs", line)
    assert what(await find(ulid_of(line)))[1:] == shown


async def test_an_early_empty_list_is_not_taken_for_the_last_word(
    server: Recorded, find: Callable[..., Any]
) -> None:
    empty = recorded("dev", "v2, no function: no data key at all")
    ulid = ulid_of(empty)
    store(server, ulid)
    server.answers(
        f"/api/v2/events/{ulid}/runs", empty, empty, recorded("dev", "v2 keeps no answers: the run")
    )
    stored_at = 1_796_036_314.0
    early = await find(ulid, clock=stored_at + 2)
    assert what(early)[-1] == (
        f"no run of {ulid} is listed yet, and it was stored 2 s ago: repeat this command"
    )
    late = await find(ulid, clock=stored_at + 60)
    assert what(late)[-1] == f"no run of {ulid} is listed"
    assert what(await find(ulid))[-1] == "plain-rec-run ended: completed"
    assert late.gap is None


async def test_the_old_api_is_asked_past_its_cache(
    server: Recorded, find: Callable[..., Any]
) -> None:
    line = recorded("dev", "a query makes it another cache entry: the run")
    ulid = ulid_of(line)
    store(server, ulid)
    server.answers(f"/v1/events/{ulid}/runs", line)
    found = await find(ulid)
    assert what(found)[-1] == "ae6879c1-02d1-5f59-9aa6-10163f4e3ef5 ended: completed"
    assert found.gap is None
    await find(ulid, clock=NOW + 1)
    runs = [path for path in server.asked if path.startswith(f"/v1/events/{ulid}/runs")]
    assert len(set(runs)) == 2


async def test_without_a_run_in_the_old_api_a_batch_may_have_run(
    server: Recorded, find: Callable[..., Any]
) -> None:
    line = recorded("dev", "the batch's run, asked by event 2 of three: none is told")
    store(server, ulid_of(line))
    server.answers(f"/v1/events/{ulid_of(line)}/runs", line)
    found = await find(ulid_of(line))
    assert "one of them only" in found.gap


async def test_an_absent_event_may_not_be_stored_yet(
    server: Recorded, find: Callable[..., Any]
) -> None:
    line = recorded("start", "not yet stored")
    server.answers(line["request"]["path"], line)
    (only,) = what(await find(ulid_of(line)))
    assert only.startswith("not stored: ")
    assert only.endswith("may not be stored yet")


async def test_every_page_is_read_until_an_empty_one_and_the_time_is_in_utc(
    server: Recorded, find: Callable[..., Any]
) -> None:
    server.answers(
        "/v1/events",
        recorded("dev", "limit 52: 51"),
        recorded("dev", "limit 51 again: the rest"),
        recorded("dev", "fourth page: empty"),
    )
    found = await find("not-there", since=1_796_000_000.9)
    assert found == SourceResult()
    assert len(server.asked) == 3
    assert all("received_after=2026-11-30T00%3A53%3A20Z" in asked for asked in server.asked)


@pytest.mark.parametrize(
    ("server_kind", "about", "said"),
    [
        ("start", "list, no key", "RELAY_INNGEST_SIGNING_KEY"),
        ("dev", "cursor malformed", "400: Invalid cursor"),
        ("dev", "unknown path under /v1, no key", "404: not a response of the API"),
        ("dev", "the root: the page of the UI (empty in this build)", "200: not a response"),
    ],
)
async def test_an_error_is_no_empty_list(
    server_kind: str, about: str, said: str, server: Recorded, find: Callable[..., Any]
) -> None:
    server.answers("/v1/events", recorded(server_kind, about))
    with pytest.raises(SourceUnavailable, match=said):
        await find("not-there")


async def test_runs_without_the_key_are_unavailable(
    server: Recorded, find: Callable[..., Any]
) -> None:
    line = recorded("start", "no key: /api/v2/events/{ulid}/runs")
    ulid = ulid_of(line)
    store(server, ulid)
    server.answers(f"/api/v2/events/{ulid}/runs", line)
    with pytest.raises(SourceUnavailable, match="RELAY_INNGEST_SIGNING_KEY"):
        await find(ulid)


async def test_ids_of_other_destinations_are_not_looked_up(
    server: Recorded, find: Callable[..., Any]
) -> None:
    server.answers("/v1/events", recorded("dev", "fourth page: empty"))
    async with InngestQueries(server.url) as queries:
        known = KnownIds("order-1", references={"arn:aws:states:1", "../../dev"})
        assert await InngestSource(queries, since=0.0).find(known) == SourceResult()
    assert all(asked.startswith("/v1/events?") for asked in server.asked)
