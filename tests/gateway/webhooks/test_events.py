"""A verified webhook becomes one event, whatever its body is."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.envelope import Decoded, Rules, decode
from relay.gateway.webhooks.events import event_of
from relay.gateway.webhooks.request import WebhookRequest
from relay.gateway.webhooks.sources import Signature, Source
from relay.model.message import Message
from tests.gateway.webhooks.senders import BIG, IDS, NAMES, NOW, SENDERS, TWILIO_JSON, URL, Sender

PLAIN = Source(
    signature=Signature(header="x-signature"), type=("body:type",), id="body:id", secrets=("s",)
)
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def event(request: WebhookRequest, source: Source = PLAIN, name: str = "acme") -> dict[str, Any]:
    """The event, which the relay must be able to decode."""
    text = event_of(name, source, request, NOW)
    decoded = decode(Message(queue="main", message_id="m", body=text), Rules())
    assert isinstance(decoded, Decoded)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    "sender", [sender for sender in SENDERS if sender is not TWILIO_JSON], ids=lambda s: s.name
)
def test_the_event_has_the_senders_type_and_id(sender: Sender) -> None:
    found = event(sender.request(), sender.source, sender.name)
    assert found["name"] == NAMES[sender.name]
    assert found.get("id") == IDS[sender.name]
    assert found["ts"] == NOW * 1_000
    assert found["data"]["source"] == sender.name


def test_large_integers_stay_intact() -> None:
    text = event_of("acme", PLAIN, WebhookRequest(JSON, BIG, URL), NOW)
    assert b'"body":' + BIG in text


def test_only_listed_headers_are_kept() -> None:
    headers = {**JSON, "x-kept": "1", "authorization": "Bearer s3cret"}
    request = WebhookRequest(headers, b"{}", URL)
    source = replace_source(headers=("X-Kept",))
    assert event(request, source)["data"]["headers"] == {"x-kept": "1"}


def replace_source(**changes: Any) -> Source:
    """The plain source with some members changed."""
    members = {name: getattr(PLAIN, name) for name in PLAIN.__struct_fields__}
    return Source(**{**members, **changes})


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b'{"a": 1}', "json", {"a": 1}),
        (b" [1, 2] ", "json", [1, 2]),
        (b'"text"', "json", "text"),
        (b"<xml/>", "text", "<xml/>"),
        (b"", "text", ""),
        (b'{"a": NaN}', "text", '{"a": NaN}'),
        (b'{"a": 1e999}', "text", '{"a": 1e999}'),
        (b"[" * 99 + b"]" * 99, "text", "[" * 99 + "]" * 99),
        (b"[" * 5_000, "text", "[" * 5_000),
        (b"\xff\x00", "base64", base64.b64encode(b"\xff\x00").decode()),
        (b"\xef\xbb\xbf{}", "text", "\ufeff{}"),
    ],
)
def test_every_body_is_kept(body: bytes, encoding: str, expected: object) -> None:
    data = event(WebhookRequest(JSON, body, URL))["data"]
    assert (data["encoding"], data["body"]) == (encoding, expected)


def test_a_form_becomes_an_object_with_lists_for_repeated_fields() -> None:
    data = event(WebhookRequest(FORM, b"a=1&b=2&b=3&c=", URL))["data"]
    assert (data["encoding"], data["body"]) == ("form", {"a": "1", "b": ["2", "3"], "c": ""})


def test_json_in_a_form_field_is_the_body() -> None:
    request = WebhookRequest(FORM, urlencode({"payload": BIG.decode()}).encode(), URL, "payload")
    found = event(request)
    assert found["data"]["body"]["amount"] == 12345678901234567890
    assert found["name"] == "acme/invoice.paid"


def test_a_webhook_without_type_and_id_is_an_event_too() -> None:
    found = event(WebhookRequest(JSON, b'{"type": null, "id": {}}', URL))
    assert found["name"] == "acme/received"
    assert "id" not in found


@pytest.mark.parametrize("event_id", ["x" * 300, "a\nb", "\u0000", "\ud800"])
def test_an_unusual_id_becomes_its_hash_and_stays_the_same(event_id: str) -> None:
    request = WebhookRequest(JSON, json.dumps({"id": event_id}).encode(), URL)
    first, second = event(request), event(replace(request))
    assert first["id"] == second["id"]
    assert len(first["id"]) == len("acme:") + 64


def test_a_name_that_the_orchestrator_reserves_is_changed() -> None:
    found = event(WebhookRequest(JSON, b'{"type": "x"}', URL), replace_source(prefix="inngest"))
    assert found["name"] == "webhook-inngest/x"


@given(
    st.sampled_from([JSON, FORM, {}]),
    st.one_of(st.binary(), st.text().map(lambda text: text.encode(errors="replace"))),
    st.text(),
)
def test_any_request_becomes_an_event_that_the_relay_decodes(
    headers: dict[str, str], body: bytes, url: str
) -> None:
    assert event(WebhookRequest(headers, body, url, "payload"))["name"].startswith("acme/")


@given(st.dictionaries(st.sampled_from(["type", "id"]), st.text()))
def test_any_type_and_id_make_an_event(values: dict[str, str]) -> None:
    assert event(WebhookRequest(JSON, json.dumps(values).encode(), URL))
