"""Confirm mode: an event counts as delivered once it was read back, and not before."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import httpx
import pytest

from relay.destinations.http_errors import connection_error
from relay.destinations.inngest.read_back import ReadBack
from relay.forwarding import Forwarder
from relay.forwarding.circuit_breaker import Backoff, Breaker
from relay.local.inngest import Fault, Function, InngestServer, Lags, Rule
from relay.model.destination import BatchRefused, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Retry
from tests.destinations.inngest.rig import Keys, confirmed, event, events, lookups, posts

SIGNING_KEY = "a1b2c3d4"
SOON = Backoff(0.02, 0.1)

LOST_ANSWER = Fault(end="reset")


def references(outcomes: Sequence[Outcome]) -> set[str | None]:
    return {outcome.reference for outcome in outcomes if isinstance(outcome, Delivered)}


async def test_delivered_events_are_stored() -> None:
    async with InngestServer(lags=Lags(insert=0.3)) as server, confirmed(server.url) as destination:
        outcomes = await destination.send(events(10))
        assert references(outcomes) == {each.internal_id for each in server.events}
        assert len(server.events) == 10


async def test_a_single_event_is_looked_up_by_its_internal_id() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        (outcome,) = await destination.send([event("e")])
        assert isinstance(outcome, Delivered)
        assert lookups(server) == [f"/v1/events/{outcome.reference}"]


async def test_many_events_share_pages() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        first, second = await asyncio.gather(
            destination.send(events(100)), destination.send(events(51))
        )
        assert all(isinstance(outcome, Delivered) for outcome in (*first, *second))
        assert set(lookups(server)) == {"/v1/events"}
        assert len(lookups(server)) <= 6


async def test_large_events_are_read_in_small_pages() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        outcomes = await destination.send(events(6, size=400_000))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        limits = {each.query["limit"] for each in server.requests if "limit" in each.query}
        assert limits == {"2"}


async def test_an_acknowledged_event_that_was_lost_is_not_delivered() -> None:
    async with InngestServer() as server, confirmed(server.url, deadline=0.3) as destination:
        server.script.add(Rule(fault=Fault(forget=True)))
        assert isinstance((await destination.send([event("e")]))[0], Retry)
        assert isinstance((await destination.send([event("e")]))[0], Delivered)


async def test_events_that_were_seen_are_delivered_and_the_others_retried() -> None:
    async with InngestServer() as server, confirmed(server.url, deadline=0.3) as destination:
        server.script.add(Rule(fault=Fault(accept=3, status=200)))
        outcomes = await destination.send(events(5))
        assert [type(outcome) for outcome in outcomes] == [Delivered] * 3 + [Retry] * 2


async def test_events_whose_answer_was_lost_are_settled_by_reading_back() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        server.script.add(Rule(fault=LOST_ANSWER, times=None))
        outcomes = await destination.send(events(60))
        assert references(outcomes) == {each.internal_id for each in server.events}
        assert len(server.events) == 60
        assert posts(server) == 1


async def test_a_stored_copy_from_an_earlier_attempt_is_enough() -> None:
    async with InngestServer(lags=Lags(insert=0.4)) as server:
        server.functions.append(Function(name="index", on="a/b"))
        async with confirmed(server.url) as destination:
            server.script.add(Rule(fault=LOST_ANSWER, times=None))
            with pytest.raises(Unavailable):
                await destination.send([event("e")])
            await server.until(lambda: len(server.events) == 1)
            server.script.clear()
            server.script.add(Rule(fault=Fault(accept=0, end="reset"), times=None))
            (outcome,) = await destination.send([event("e")])
            assert outcome == Delivered(server.events[0].internal_id)


async def test_if_some_events_are_not_stored_the_failure_is_raised() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        server.script.add(Rule(fault=Fault(accept=3, end="reset")))
        with pytest.raises(Unavailable, match=r"closed|broke"):
            await destination.send(events(5))
        assert len(server.events) == 3


async def test_another_stored_event_is_no_proof() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        await destination.send([event("other")])
        # Twice: the request is repeated, because its connection may have been stale.
        server.script.add(Rule(fault=Fault(accept=0, end="reset"), times=2))
        with pytest.raises(Unavailable):
            await destination.send([event("e")])


async def test_events_that_cannot_have_been_accepted_are_not_searched() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        server.script.add(Rule(fault=Fault(accept=0, status=401, error="Event key not found")))
        with pytest.raises(Unavailable) as caught:
            await destination.send([event("e")])
        assert caught.value.not_accepted
        assert lookups(server) == []


async def test_a_refusal_of_one_of_several_events_is_raised() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        server.script.add(Rule(fault=Fault(accept=2, status=400, error="event name is empty")))
        with pytest.raises(BatchRefused) as caught:
            await destination.send(events(5))
        assert caught.value.suspect == 2


async def test_a_server_that_dies_after_its_answer_fails_at_once_and_not_at_the_deadline() -> None:
    async with InngestServer(lags=Lags(insert=60)) as server:
        async with confirmed(server.url, deadline=600) as destination:
            sending = asyncio.create_task(destination.send(events(3)))
            await server.until(lambda: server.acknowledged["e2"] == 1)
            await server.kill()
            with pytest.raises(Unavailable, match="refuses connections") as caught:
                await sending
        assert (caught.value.proven, caught.value.not_accepted) == (True, False)


async def test_nothing_is_lost_when_the_server_is_killed_with_events_in_memory() -> None:
    server = InngestServer(functions=[Function(name="index", on="a/b")], lags=Lags(insert=0.5))
    async with server, confirmed(server.url, deadline=1.5) as destination:
        forwarder = Forwarder(destination, breaker=Breaker(outage=SOON))

        async def deliver(each: Event) -> None:
            while isinstance(await forwarder.submit(each), Retry):
                pass

        tasks = [asyncio.create_task(deliver(each)) for each in events(200)]
        await server.until(lambda: len(server.acknowledged) == 200)
        await server.kill()
        assert server.events == []
        await server.restart()
        await asyncio.gather(*tasks)
        assert {each.id for each in server.events} == {each.id for each in events(200)}
        await server.settled()
        assert len(server.runs) == 200
        await forwarder.stop(1)


async def test_a_wrong_signing_key_halts_and_names_its_setting_until_it_is_corrected() -> None:
    server = InngestServer(mode="start", event_keys=["any"], signing_key=SIGNING_KEY)
    keys = Keys("0" * 8)
    async with server, confirmed(server.url, keys=keys) as destination:
        halted_for: list[str] = []

        async def correct_secret() -> None:
            halted_for.append(forwarder.state.setting or "")
            keys.signing = SIGNING_KEY

        forwarder = Forwarder(destination, breaker=Breaker(halt=SOON), before_probe=correct_secret)
        outcome = await forwarder.submit(event("e"))
        assert isinstance(outcome, Delivered)
        assert halted_for == ["RELAY_INNGEST_SIGNING_KEY"]
        await forwarder.stop(1)


@pytest.mark.parametrize("key", ["schlüssel", "a\nb", "→"])
async def test_a_signing_key_that_is_no_valid_header_halts_and_names_its_setting(key: str) -> None:
    async with InngestServer() as server, confirmed(server.url, keys=Keys(key)) as destination:
        with pytest.raises(Unavailable) as caught:
            await destination.send([event("e")])
        error = caught.value
        assert (error.setting, error.proven, error.not_accepted) == (
            "RELAY_INNGEST_SIGNING_KEY",
            True,
            False,
        )


async def test_a_time_beyond_the_calendar_can_be_queried() -> None:
    async with InngestServer() as server, ReadBack(server.url, Keys().read) as reading:
        assert not await reading.page(1e15)


@pytest.mark.parametrize(
    ("fault", "setting"),
    [
        (Fault(status=404, body="not found"), "RELAY_CONFIRM"),
        (Fault(status=200, body="<html></html>"), "RELAY_CONFIRM"),
        (Fault(status=302, headers={"Location": "/"}), "RELAY_CONFIRM"),
        (Fault(status=403, body="no"), "RELAY_INNGEST_SIGNING_KEY"),
    ],
)
async def test_a_server_that_does_not_allow_reading_back_halts(fault: Fault, setting: str) -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        server.script.add(Rule(fault=fault, times=None, path="/v1/"))
        with pytest.raises(Unavailable) as caught:
            await destination.send([event("e")])
        error = caught.value
        assert (error.setting, error.proven, error.not_accepted) == (setting, True, False)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, body="busy"),
        Fault(status=200, body=""),
        Fault(status=200, body='{"status":500,"error":"its store failed"}'),
        Fault(end="reset"),
        Fault(end="cut"),
    ],
)
async def test_a_failed_lookup_is_repeated(fault: Fault) -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        server.script.add(Rule(fault=fault, times=2, path="/v1/"))
        (outcome,) = await destination.send([event("e")])
        assert isinstance(outcome, Delivered)


async def test_a_server_whose_lookups_keep_failing_is_unavailable_at_the_deadline() -> None:
    async with InngestServer() as server, confirmed(server.url, deadline=0.3) as destination:
        server.script.add(Rule(fault=Fault(status=503, body=""), times=None, path="/v1/"))
        with pytest.raises(Unavailable, match="503"):
            await destination.send([event("e")])


@pytest.mark.parametrize(
    ("fault", "disconnected"),
    [
        (Fault(status=503, body="busy"), True),
        (Fault(status=502, body="<html>"), True),
        (Fault(status=503, body='{"error":"its store failed","status":503}'), False),
        (Fault(status=500, body=""), False),
    ],
)
async def test_a_proxy_without_a_server_may_be_a_restart(
    fault: Fault, *, disconnected: bool
) -> None:
    async with InngestServer() as server, ReadBack(server.url, Keys().read) as reading:
        server.script.add(Rule(fault=fault, path="/v1/"))
        with pytest.raises(Unavailable) as caught:
            await reading.page(0.0)
        assert caught.value.disconnected == disconnected


def test_a_name_that_no_longer_resolves_may_be_a_restart() -> None:
    unknown = httpx.ConnectError("")
    unknown.__cause__ = socket.gaierror(socket.EAI_NONAME, "")
    error = connection_error(unknown, "inngest:8288", "RELAY_INNGEST_URL")
    assert (error.setting, error.disconnected) == ("RELAY_INNGEST_URL", True)


async def test_confirm_mode_allows_more_concurrent_requests() -> None:
    async with InngestServer() as server, confirmed(server.url) as destination:
        assert destination.limits.in_flight > 2
        assert destination.limits.max_events == 100
