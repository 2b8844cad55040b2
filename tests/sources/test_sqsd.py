"""Push mode over real sockets: 200 only for messages that may be deleted; the others are held."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import httpx
import pytest

from relay.delivery.fast_path import Caller, Rest
from relay.http.server import serving
from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.sources.sqsd import BODY_LIMIT, PushApp

HEADERS = {"X-Aws-Sqsd-Msgid": "m-1", "X-Aws-Sqsd-Queue": "main", "User-Agent": "aws-sqsd/3.0.4"}


class Scripted:
    """A handler that keeps its messages and returns a scripted outcome."""

    def __init__(self, answer: Callable[[Message], Awaitable[Outcome]] | Outcome) -> None:
        self.answer = answer
        self.messages: list[Message] = []
        self.cancelled = asyncio.Event()

    def begin(self, message: Message, _caller: Caller) -> Rest:
        return partial(self.handle, message)

    async def handle(self, message: Message) -> Outcome:
        self.messages.append(message)
        if not callable(self.answer):
            return self.answer
        try:
            return await self.answer(message)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def forever(_message: Message) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


@contextlib.asynccontextmanager
async def client(
    scripted: Scripted, *, hold: float = 30.0, task_paths: frozenset[str] = frozenset()
) -> AsyncIterator[tuple[httpx.AsyncClient, PushApp]]:
    app = PushApp(
        scripted.begin,
        hold=hold,
        ready=lambda: (False, {"halted": "the event key was refused"}),
        task_paths=task_paths,
    )
    async with (
        serving(app.asgi()) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False
        ) as http,
    ):
        yield http, app


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Delivered("01A"), 200), (Reject("not_json", "no"), 200), (Retry("later"), 503)],
)
async def test_only_a_settled_message_is_answered_200(outcome: Outcome, status: int) -> None:
    async with client(Scripted(outcome)) as (http, _):
        answer = await http.post("/", headers=HEADERS, content=b"{}")
    assert answer.status_code == status


async def test_reads_every_header_of_sqsd() -> None:
    scripted = Scripted(Delivered())
    async with client(scripted) as (http, _):
        await http.post(
            "/",
            headers=HEADERS
            | {
                "X-Aws-Sqsd-Receive-Count": "3",
                "X-Aws-Sqsd-First-Received-At": "2026-01-02T03:04:05Z",
                "X-Aws-Sqsd-Sent-At": "2026-01-02T03:04:04.500Z",
                "X-Aws-Sqsd-Attr-TraceParent": "00-aa-bb-01",
                "X-Aws-Sqsd-Attr-Price": "1.10",
            },
            content='{"n": "é"}'.encode(),
        )
    assert scripted.messages == [
        Message(
            body='{"n": "é"}'.encode(),
            message_id="m-1",
            queue="main",
            attributes={
                "traceparent": Attribute("String", "00-aa-bb-01"),
                "price": Attribute("String", "1.10"),
            },
            receive_count=3,
            sent_at=1767323044.5,
            first_received_at=1767323045.0,
        )
    ]


async def test_a_full_message_passes_its_attributes_as_headers() -> None:
    scripted = Scripted(Delivered())
    value = "x" * 1_040_000
    async with client(scripted) as (http, _):
        headers = HEADERS | {"X-Aws-Sqsd-Attr-Big": value}
        assert (await http.post("/", headers=headers, content=b"{}")).status_code == 200
        body = b"y" * 1_048_576
        assert (await http.post("/", headers=HEADERS, content=body)).status_code == 200
    assert scripted.messages[0].attributes["big"].value == value
    assert scripted.messages[1].body == body


async def test_a_body_that_sqs_cannot_have_sent_is_refused() -> None:
    async with client(Scripted(Delivered())) as (http, _):
        answer = await http.post("/", headers=HEADERS, content=b"y" * (BODY_LIMIT + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/", {}, "not_sqsd"),
        ("/tasks/nightly", {}, "not_sqsd"),
        ("/", {"X-Aws-Sqsd-Msgid": "m" * 101}, "not_sqsd"),
        ("/tasks/other", HEADERS, "path_not_allowed"),
        ("/tasks/nightly", HEADERS, "not_a_task"),
        ("/", HEADERS | {"X-Aws-Sqsd-Attr-Beanstalk.sqsd.path": "/"}, "emptied_body"),
        ("/", HEADERS | {"X-Aws-Sqsd-Path": "/"}, "emptied_body"),
        ("/", HEADERS, "emptied_body"),
    ],
)
async def test_a_request_that_is_not_from_sqsd_is_refused_with_a_code(
    path: str, headers: dict[str, str], code: str
) -> None:
    scripted = Scripted(Delivered())
    async with client(scripted, task_paths=frozenset({"/tasks/nightly"})) as (http, _):
        answer = await http.post(path, headers=headers, content=b"")
    assert answer.status_code in (400, 404)
    assert answer.json()["code"] == code
    assert scripted.messages == []


async def test_a_periodic_task_is_a_message_without_a_body() -> None:
    scripted = Scripted(Delivered())
    headers = HEADERS | {
        "X-Aws-Sqsd-Taskname": "nightly",
        "X-Aws-Sqsd-Scheduled-At": "2026-01-02T00:00:00Z",
    }
    async with client(scripted, task_paths=frozenset({"/tasks/nightly"})) as (http, _):
        answer = await http.post("/tasks/nightly", headers=headers, content=b"")
    assert answer.status_code == 200
    assert scripted.messages[0].task == PeriodicTask("nightly", "2026-01-02T00:00:00Z")


async def test_a_request_is_held_and_then_answered_503() -> None:
    scripted = Scripted(forever)
    async with client(scripted, hold=0.05) as (http, _):
        answer = await http.post("/", headers=HEADERS, content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (503, "held")
        await scripted.cancelled.wait()


async def test_a_disconnect_ends_the_wait() -> None:
    scripted = Scripted(forever)
    async with client(scripted) as (http, _):
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/", headers=HEADERS, content=b"{}", timeout=0.2)
        await asyncio.wait_for(scripted.cancelled.wait(), 10)


async def test_after_a_stop_every_request_is_answered_503() -> None:
    scripted = Scripted(Delivered())
    async with client(scripted) as (http, app):
        app.stop()
        answer = await http.post("/", headers=HEADERS, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
    assert scripted.messages == []


async def test_health_is_shallow_and_ready_says_why_not() -> None:
    async with client(Scripted(Delivered())) as (http, _):
        assert (await http.get("/health")).status_code == 200
        ready = await http.get("/ready")
        assert ready.status_code == 503
        assert ready.json() == {"ready": False, "halted": "the event key was refused"}
        assert (await http.put("/", headers=HEADERS)).status_code == 405
