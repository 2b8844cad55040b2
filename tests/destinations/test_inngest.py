"""The Inngest destination over real sockets: its requests, and the meaning of each answer."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from msgspec.structs import replace

from relay.destinations.inngest.event_api import Inngest
from relay.model.destination import BatchRefused, Limits, Unavailable
from relay.model.outcome import Delivered, Reject
from tests.destinations.inngest_wire import (
    EVENT_KEY,
    KEY,
    NOW,
    ULIDS,
    URL,
    destination,
    events,
    fails,
    key,
)
from tests.destinations.wire import api, http, listening


async def test_it_posts_an_array_to_the_key_and_accepts_a_strict_success() -> None:
    async with listening(api(200, ids=ULIDS)) as wire, destination(wire, path="/base/") as inngest:
        assert list(await inngest.send(events(3))) == [Delivered(ulid) for ulid in ULIDS]
    line, headers, body = wire.requests[0]
    assert line == f"POST /base/e/{KEY} HTTP/1.1"
    assert body == b"[" + b",".join(event.wire for event in events(3)) + b"]"
    assert [one["id"] for one in json.loads(body)] == ["e-0", "e-1", "e-2"]
    assert headers["content-type"] == "application/json"
    assert headers["x-inngest-env"] == "branch"
    assert headers["user-agent"].startswith("sqs-relay/")
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == f"127.0.0.1:{wire.port}"


async def test_the_environment_of_the_events_wins_over_the_one_in_the_settings() -> None:
    async with listening(api(200, ids=ULIDS[:1])) as wire, destination(wire) as inngest:
        (event,) = events(1)
        await inngest.send([replace(event, env="branch-7")])
        await inngest.send([event])
    assert [headers["x-inngest-env"] for _, headers, _ in wire.requests] == ["branch-7", "branch"]


@pytest.mark.parametrize(
    "answer",
    [
        api(200, ids=[""]),
        api(200, ids=ULIDS[:1]),
        api(200, ids=ULIDS),
        api(200, ids=[ULIDS[0], ""]),
        api(200, ids=[ULIDS[0], 7]),
        api(200, ids=None),
        api(200),
        api(200, ids=ULIDS[:2], error="something"),
        api(400, 200, ids=ULIDS[:2]),
        api(200, 201, ids=ULIDS[:2]),
        api(200, 202, ids=ULIDS[:2]),
        http(204),
        http(200),
        http(200, "[]"),
        http(200, '{"ids":["a","b"],"status":200'),
        http(200, "<!DOCTYPE html><html></html>", Content_Type="text/html"),
        http(200, "[" * 5_000),
    ],
)
async def test_any_other_success_does_not_count_and_names_the_url_setting(answer: bytes) -> None:
    error = await fails(answer)
    assert (error.setting, error.proven, error.not_accepted) == (URL, False, False)


@pytest.mark.parametrize(
    ("answer", "setting", "proven", "not_accepted"),
    [
        (api(401, message="", error="Event key not found"), EVENT_KEY, True, True),
        (http(401, "<html>"), EVENT_KEY, False, True),
        (http(403, "Forbidden"), EVENT_KEY, False, True),
        (http(404, "<html>"), URL, False, True),
        (api(404, error="Event key not found"), EVENT_KEY, False, True),
        (http(405), URL, False, True),
        (http(301, Location=f"https://elsewhere/e/{KEY}"), URL, False, False),
        (http(303, Location="/ui"), URL, False, False),
        (http(307, Location="/e/"), URL, False, False),
        (http(400, "<html>plain HTTP request to HTTPS port"), URL, False, False),
        (http(408), None, False, False),
        (http(409), None, False, False),
        (api(429, error="rate limited"), None, True, True),
        (http(429), None, True, True),
        (http(500, "oops"), None, False, False),
        (http(502, "<html>"), None, False, False),
        (http(503), None, False, False),
        (http(504), None, False, False),
        (api(503, error="Event keys are required to process events"), EVENT_KEY, False, False),
    ],
)
async def test_every_other_status_is_classified(
    answer: bytes, setting: str | None, *, proven: bool, not_accepted: bool
) -> None:
    for count in (1, 2):
        error = await fails(answer, count)
        assert (error.setting, error.proven, error.not_accepted) == (setting, proven, not_accepted)
        assert error.after is None


@pytest.mark.parametrize(
    ("answer", "disconnected"),
    [
        (http(502, "<html>"), True),
        (http(503), True),
        (http(504, '{"error":"Gateway Timeout"}'), True),
        (api(503, error="Event keys are required to process events"), False),
        (http(500), False),
        (http(429), False),
    ],
)
async def test_a_proxy_without_a_server_may_be_a_restart(
    answer: bytes, *, disconnected: bool
) -> None:
    assert (await fails(answer)).disconnected == disconnected


@pytest.mark.parametrize("value", ["90", formatdate(NOW + 90, usegmt=True)])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_is_returned(status: int, value: str) -> None:
    assert (await fails(http(status, Retry_After=value))).after == 90


async def refused(answer: bytes, count: int = 3) -> BatchRefused:
    async with listening(answer) as wire, destination(wire) as inngest:
        with pytest.raises(BatchRefused) as caught:
            await inngest.send(events(count))
    return caught.value


@pytest.mark.parametrize(
    ("ids", "suspect"),
    [([""], 0), ([], 0), (ULIDS[:1], 1), (ULIDS[:2], 2), (ULIDS, None), (None, None)],
)
async def test_a_400_for_several_events_points_at_the_one_after_the_stored_ones(
    ids: list[str] | None, suspect: int | None
) -> None:
    error = await refused(api(400, ids=ids, error="event name is empty"))
    assert (error.suspect, error.not_accepted) == (suspect, False)
    assert "event name is empty" in error.reason


async def test_a_413_for_several_events_points_at_none_and_stored_none() -> None:
    error = await refused(http(413, "<html>"))
    assert (error.suspect, error.not_accepted) == (None, True)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (api(400, ids=[""], error="event name is empty"), "refused_by_destination"),
        (
            api(400, ids=[""], error="event name is reserved for internal use: inngest/x"),
            "refused_by_destination",
        ),
        (api(400, ids=[""], error="timestamp is before Jan 1, 1980"), "refused_by_destination"),
        (
            api(400, ids=[""], error="json: cannot unmarshal string into Go struct field"),
            "refused_by_destination",
        ),
        (
            api(400, ids=[""], error="Event is over the max size: Max 3145728 bytes"),
            "too_large_for_destination",
        ),
        (http(413), "too_large_for_destination"),
        (api(413, error="Event payload too large"), "too_large_for_destination"),
    ],
)
async def test_an_event_that_can_never_pass_is_rejected_when_sent_alone(
    answer: bytes, code: str
) -> None:
    async with listening(answer) as wire, destination(wire) as inngest:
        outcome = (await inngest.send(events(1)))[0]
    assert isinstance(outcome, Reject)
    assert outcome.code == code


@pytest.mark.parametrize("sentence", ["database is locked", "EOF", "invalid character 'x'"])
async def test_a_400_with_an_unknown_error_proves_nothing_even_for_a_single_event(
    sentence: str,
) -> None:
    error = await fails(api(400, ids=[""], error=sentence), count=1)
    assert (error.setting, error.proven) == (None, False)
    assert sentence in error.reason


async def test_the_key_is_read_for_each_request_and_stripped() -> None:
    keys = iter([" first \n", "second/with a slash"])

    async def rotating() -> str:
        return next(keys)

    async with (
        listening(api(200, ids=ULIDS[:1])) as wire,
        destination(wire, key=rotating) as inngest,
    ):
        await inngest.send(events(1))
        await inngest.send(events(1))
    paths = [line.split()[1] for line, _, _ in wire.requests]
    assert paths == ["/e/first", "/e/second%2Fwith%20a%20slash"]


async def test_without_a_key_nothing_is_sent() -> None:
    async def no_key() -> str:
        return " "

    async with listening() as wire, destination(wire, key=no_key) as inngest:
        with pytest.raises(Unavailable) as caught:
            await inngest.send(events(1))
    assert wire.requests == []
    assert (caught.value.setting, caught.value.proven) == (EVENT_KEY, True)


async def test_its_limits_are_the_configured_ones() -> None:
    limits = Limits(max_events=7, max_bytes=1_000)
    inngest = Inngest("http://127.0.0.1:1", key, limits=limits)
    assert inngest.limits == limits
    async with inngest:
        assert repr(inngest) == "<Inngest at 127.0.0.1:1>"
