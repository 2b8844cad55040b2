"""Every answer of an orchestrator is read, or is an `Unavailable` or `BatchRefused` of its call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest

from relay.destinations.argo import Argo
from relay.destinations.http_endpoint import HttpAnswer, HttpEndpoint
from relay.destinations.http_errors import retry_after
from relay.destinations.inngest.read_back import PageTooLarge, ReadBack
from relay.destinations.prefect import Prefect
from relay.destinations.webhook import Webhook
from relay.destinations.webhook_rules import PRESETS, parse_rules
from relay.model.destination import BatchRefused, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Reject, Retry
from tests.destinations.inngest_wire import destination, events
from tests.destinations.wire import Wire, http, listening
from tests.mutations import OTHERS, mutations

EVENT = Event(id="e-1", name="order/placed", data=b'{"n": 1.10}')
NAME = "relay-b94f523196aaacd8bdb9ef0d8cf2e1d8f9b766ab"
UUID = "0198f4a4-0000-7000-8000-000000000000"
WORKFLOW = {
    "metadata": {"name": NAME},
    "spec": {"arguments": {"parameters": [{"name": "event", "value": "{}"}]}},
}


Call = Callable[[], Awaitable[None]]
Opening = Callable[[Wire], AbstractAsyncContextManager[Call]]


async def nothing() -> str:
    return ""


async def no_key() -> None:
    return None


@asynccontextmanager
async def to_inngest(wire: Wire) -> AsyncIterator[Call]:
    async with destination(wire) as inngest:

        async def call() -> None:
            _known(*await inngest.send(events(2)))

        yield call


@asynccontextmanager
async def one_to_inngest(wire: Wire) -> AsyncIterator[Call]:
    async with destination(wire) as inngest:

        async def call() -> None:
            _known(*await inngest.send(events(1)))

        yield call


@asynccontextmanager
async def page(wire: Wire) -> AsyncIterator[Call]:
    async with ReadBack(wire.url, no_key) as stored:

        async def call() -> None:
            for one in await stored.page(1_767_225_600.0):
                assert isinstance(one.internal_id, str)

        yield call


@asynccontextmanager
async def single(wire: Wire) -> AsyncIterator[Call]:
    async with ReadBack(wire.url, no_key) as stored:

        async def call() -> None:
            assert await stored.is_stored("01A") in (True, False)

        yield call


@asynccontextmanager
async def to_prefect(wire: Wire) -> AsyncIterator[Call]:
    async with HttpEndpoint(wire.url, "RELAY_PREFECT_URL", timeout=10) as endpoint:

        async def call() -> None:
            prefect = Prefect(endpoint, "flow/deployment", credential=nothing)
            _known(await prefect.start(EVENT, prefect.payload(EVENT)))

        yield call


@asynccontextmanager
async def to_argo(wire: Wire) -> AsyncIterator[Call]:
    async with HttpEndpoint(wire.url, "RELAY_ARGO_URL", timeout=10) as endpoint:
        argo = Argo(endpoint, "namespace", "template", credential=nothing)
        refusal = HttpAnswer(409, "", None)

        async def call() -> None:
            with suppress(Unavailable):
                _known(await argo.start(EVENT, argo.payload(EVENT)))
            # As if the workflow existed before, which is looked up.
            _known(await argo._verify(EVENT, NAME, argo.payload(EVENT), {}, refusal))

        yield call


@asynccontextmanager
async def to_a_webhook(wire: Wire) -> AsyncIterator[Call]:
    async with HttpEndpoint(wire.url, "RELAY_WEBHOOK_URL", timeout=10) as endpoint:
        rules = parse_rules("2xx/done/=delivered")

        async def call() -> None:
            webhook = Webhook(endpoint, PRESETS["zapier"], rules=rules)
            _known(await webhook.start(EVENT, webhook.payload(EVENT)))

        yield call


def _known(*outcomes: object) -> None:
    assert all(isinstance(outcome, Delivered | Retry | Reject) for outcome in outcomes)


CALLS: list[tuple[Opening, Any, tuple[int, ...]]] = [
    (to_inngest, {"ids": ["a", "b"], "status": 200, "error": ""}, (200, 400, 401, 413, 500)),
    (one_to_inngest, {"ids": ["a"], "status": 200}, (200, 400, 503)),
    (page, {"data": [{"internal_id": "01A", "id": "e", "name": "n"}]}, (200, 500)),
    (single, {"data": {"internal_id": "01A"}, "error": None, "status": 404}, (200, 404)),
    (to_prefect, {"id": UUID, "detail": "Not Found"}, (200, 201, 404, 409, 422)),
    (to_argo, {**WORKFLOW, "code": 3, "message": "no"}, (200, 400, 404, 409)),
    (to_a_webhook, {"status": "success"}, (200, 400, 500)),
]


@pytest.mark.parametrize(
    ("opening", "answer", "status"),
    [(one, answer, status) for one, answer, statuses in CALLS for status in statuses],
    ids=[f"{one.__name__}-{status}" for one, _, statuses in CALLS for status in statuses],
)
async def test_only_the_documented_errors_are_raised(
    opening: Opening, answer: Any, status: int
) -> None:
    async with listening() as wire, opening(wire) as call:
        for body in mutations(answer):
            wire.answer = http(status, body)
            try:
                await call()
            except (Unavailable, BatchRefused, PageTooLarge):
                pass
            except Exception as error:
                raise AssertionError(f"{body[:300]!r}") from error


def dates() -> Iterator[str]:
    yield from (str(other) for other in OTHERS)
    for day in ("Mon, 01 Jan 0001 00:00:00", "Fri, 31 Dec 9999 23:59:59", "1 Jan 0 0:0:0"):
        yield from (f"{day} {zone}" for zone in ("GMT", "+2359", "-2359", "+9999", "-0000", "é"))
    yield from (json.dumps({}), "Mon, 99 Jan 2026", "\u0661", "1" * 400, "-5", "nan", "inf")


@pytest.mark.parametrize("value", list(dates()))
def test_any_retry_after_is_a_time_or_none(value: str) -> None:
    found = retry_after(value, 1_767_225_600.0)
    assert found is None or 0 <= found < 1e12
