"""The webhook destination over real sockets: idempotency key, signature, rules and secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.destinations.http_endpoint import HttpEndpoint
from relay.destinations.public_addresses import PublicAddressResolver
from relay.destinations.webhook import Webhook
from relay.destinations.webhook_rules import PRESETS, parse_rules, verdict
from relay.destinations.webhook_signature import signature, signing_key
from relay.http.addresses import Resolve
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.destinations.wire import Wire, http, listening
from tests.http.names import at

PATH = "/hooks/catch/123456/top-secret-part?x=1"
NOW = 1_800_000_000.0
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
EVENT = Event(id="order-7", name="order/placed", data=b'{"n": 1.10}')


@asynccontextmanager
async def hook(
    wire: Wire,
    preset: str = "generic",
    resolve: Resolve | None = None,
    host: str = "127.0.0.1",
    timeout: float = 10.0,
    **more: Any,
) -> Any:
    url = f"http://{host}:{wire.port}{PATH}"
    async with HttpEndpoint(
        url, "RELAY_WEBHOOK_URL", timeout=timeout, hide_path=True, resolve=resolve
    ) as endpoint:
        yield Webhook(endpoint, PRESETS[preset], clock=lambda: NOW, **more)


async def started(
    answer: bytes, preset: str = "generic", event: Event = EVENT, **more: Any
) -> tuple[Outcome, Wire]:
    async with listening(answer) as wire, hook(wire, preset, **more) as webhook:
        return await webhook.start(event, webhook.payload(event)), wire


async def fails(answer: bytes, preset: str = "generic", **more: Any) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await started(answer, preset, **more)
    assert "top-secret" not in repr(caught.value)
    return caught.value


async def test_a_request_has_the_key_the_headers_and_a_signature_for_each_key() -> None:
    keys = [signing_key(SECRET), b"old"]
    outcome, wire = await started(http(200), keys=keys, headers={"x-tenant": "7"})
    assert outcome == Delivered()
    line, headers, body = wire.requests[0]
    assert line == f"POST {PATH} HTTP/1.1"
    assert body == EVENT.wire
    assert headers["idempotency-key"] == headers["webhook-id"] == "order-7"
    assert headers["x-tenant"] == "7"
    signed = b"order-7.1800000000." + body
    macs = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    assert headers["webhook-signature"] == f"v1,{macs[0]} v1,{macs[1]}"


def test_a_signature_is_that_of_the_standards_own_library() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    # Made with standardwebhooks 1.1.0, which also took the relay's requests (docs/verified.md).
    expected = "v1,+HDzMmYgdDcJ2rKjsocz39WXIGGCdxfnPOIW0tgyzIs="
    assert signature("msg_p5jXN8AQM9LtM0D4loKWxlek", 1_614_265_330, body, [key]) == expected


@pytest.mark.parametrize("event_id", ["é", "a\nb: c", " a", "", "x" * 300])
async def test_an_id_that_is_no_valid_header_is_hashed(event_id: str) -> None:
    event = Event(id=event_id, name="a/b")
    _, wire = await started(http(200), event=event)
    assert wire.requests[0][1]["idempotency-key"].startswith("relay-")


@pytest.mark.parametrize(
    ("status", "setting", "proven"),
    [
        (301, "RELAY_WEBHOOK_URL", False),
        (401, "RELAY_WEBHOOK_URL", True),
        (404, "RELAY_WEBHOOK_URL", False),
        (410, "RELAY_WEBHOOK_URL", True),
        (400, None, False),
        (422, None, False),
        (429, None, True),
        (500, None, False),
    ],
)
async def test_a_status_without_a_rule_is_not_blamed_on_one_event(
    status: int, setting: str | None, *, proven: bool
) -> None:
    error = await fails(http(status, f"at {PATH}", Location="http://elsewhere/"))
    assert (error.setting, error.proven) == (setting, proven)


async def test_configured_rules_come_first() -> None:
    rules = parse_rules("409=duplicate; 422=reject; 400/queue is full/=retry; 5xx=halt; 200=reject")
    answers = ((http(409), Delivered(duplicate=True)), (http(201), Delivered()))
    for answer, outcome in answers:
        assert (await started(answer, rules=rules))[0] == outcome
    refused, _ = await started(http(422, "bad"), rules=rules)
    assert isinstance(refused, Reject)
    later, _ = await started(http(400, "the Queue is full", Retry_After="9"), rules=rules)
    assert later == Retry("the webhook asks to retry the event: 400: the Queue is full", 9.0)
    assert isinstance((await started(http(200), rules=rules))[0], Reject)
    assert (await fails(http(503), rules=rules)).setting == "RELAY_WEBHOOK_URL"


def test_a_pattern_takes_limited_time_whatever_the_server_answers() -> None:
    # It is quadratic. Ten megabytes would take it a day, and the other rules do not apply.
    rules = parse_rules("200/.*full/=reject; 409/.*full/=retry; 409/is full/=unavailable")
    answer = "a" * 10_000_000
    assert verdict(rules, 201, answer) is None
    assert verdict(rules, 409, f"is full{answer}") == "retry"
    assert verdict(rules, 409, f"{answer}is full") == "unavailable"


@pytest.mark.parametrize("text", ["2=delivered", "200", "200=fine", "400/(/=retry", "=reject"])
def test_an_invalid_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_rules(text)


async def test_presets_interpret_the_answers_of_their_systems() -> None:
    said, _ = await started(http(200, '{"status": "success", "id": "1"}'), "zapier")
    assert said == Delivered()
    assert (await fails(http(200, "<html>"), "zapier")).setting is not None
    full = await fails(http(400, "Queue is full."), "make")
    assert full.setting is None
    assert (await fails(http(410, "scenario is off"), "make")).proven
    assert (await fails(http(400, "endpoint is inactive"), "argo-events")).setting is None
    assert PRESETS["zapier"].traits.recognised_by is None


async def test_the_url_is_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await started(http(200))
    assert "hooks" not in caplog.text


async def test_a_server_that_does_not_answer_times_out() -> None:
    async def behave(wire: Wire, reader: Any, _writer: Any) -> None:
        await wire.read(reader)
        await reader.read()

    async with listening(behave=behave) as wire, hook(wire, timeout=0.2) as webhook:
        with pytest.raises(Unavailable, match=r"no answer in 0\.2 s"):
            await webhook.start(EVENT, b"{}")


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    only = PublicAddressResolver(
        "RELAY_WEBHOOK_URL", resolve=at("127.0.0.1"), allowed=lambda _address: True
    )
    async with (
        listening(http(200)) as wire,
        hook(wire, resolve=only, host="hooks.example.com") as webhook,
    ):
        assert await webhook.start(EVENT, b"{}") == Delivered()
    assert wire.requests[0][1]["host"] == f"hooks.example.com:{wire.port}"


async def test_every_address_that_was_checked_is_tried(unused_port: int) -> None:
    async with listening(http(200)) as wire:
        several = at("127.0.0.3", "127.0.0.2", "127.0.0.1", ports=[unused_port] * 2 + [wire.port])
        allowed = PublicAddressResolver(
            "RELAY_WEBHOOK_URL", resolve=several, allowed=lambda _address: True
        )
        async with hook(wire, resolve=allowed, host="hooks.example.com") as webhook:
            assert await webhook.start(EVENT, b"{}") == Delivered()
