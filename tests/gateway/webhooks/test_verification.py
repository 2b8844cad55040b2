"""Signatures: what the senders' own libraries sign passes, and anything else is refused."""

from __future__ import annotations

import dataclasses
import hmac
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from relay.gateway.webhooks.presets import PRESETS
from relay.gateway.webhooks.request import WebhookRequest
from relay.gateway.webhooks.sources import read_sources
from relay.gateway.webhooks.verification import Unverified, verify
from tests.gateway.webhooks.senders import (
    BASE64_SECRET,
    BIG,
    NOW,
    SENDERS,
    TEXT_SECRET,
    TWILIO_JSON,
    URL,
    Sender,
    by_name,
    outcome,
)

all_senders = pytest.mark.parametrize(
    "sender", SENDERS, ids=[f"{n}-{s.name}" for n, s in enumerate(SENDERS)]
)


@all_senders
def test_a_request_signed_by_the_sender_passes(sender: Sender) -> None:
    assert outcome(sender, sender.request()) == "ok"


@all_senders
def test_a_request_signed_with_another_secret_is_refused(sender: Sender) -> None:
    other = BASE64_SECRET[:-4] + "AAA=" if sender.source.signature.key == "base64" else "another"
    assert outcome(sender, sender.request(secret=other)) == "signature_wrong"


@all_senders
def test_a_changed_body_is_refused(sender: Sender) -> None:
    if not sender.source.signature.hashes:
        pytest.skip("this sender proves itself by a token, which covers no body")
    request = sender.request()
    changed = dataclasses.replace(request, body=request.body.replace(b'"', b"'", 1) + b" ")
    assert outcome(sender, changed) in ("signature_wrong", "body_digest_wrong")


@all_senders
def test_any_of_several_secrets_may_match(sender: Sender) -> None:
    old = BASE64_SECRET[:-4] + "AAA=" if sender.source.signature.key == "base64" else "old"
    assert outcome(sender, sender.request(), secrets=(old, sender.secret)) == "ok"


@all_senders
def test_a_request_without_signature_is_refused(sender: Sender) -> None:
    request = sender.request()
    headers = dict(request.headers)
    del headers[sender.source.signature.header]
    assert outcome(sender, dataclasses.replace(request, headers=headers)) == "signature_missing"


@all_senders
@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_request_signed_long_ago_or_in_the_future_is_refused(
    sender: Sender, seconds: int
) -> None:
    expected = "time_off" if sender.source.signature.time else "ok"
    assert outcome(sender, sender.request(), now=NOW + seconds) == expected


@all_senders
@pytest.mark.parametrize(
    "garbage", ["x", "v1", "v1,", "=", "v1,é", "sha256=zz", ",,,", "t=1", "t=x,v1=00", "0" * 9_000]
)
def test_a_garbage_signature_is_refused(sender: Sender, garbage: str) -> None:
    request = sender.request()
    headers = {**request.headers, sender.source.signature.header: garbage}
    code = outcome(sender, dataclasses.replace(request, headers=headers))
    assert code in ("signature_unreadable", "signature_wrong", "time_missing", "time_unreadable")


@given(st.sampled_from(SENDERS), st.data())
def test_no_request_makes_the_verification_fail_otherwise(
    sender: Sender, data: st.DataObject
) -> None:
    signature = sender.source.signature
    named = [signature.header, "content-type", *(("webhook-id",) if signature.id else ())]
    if signature.time.startswith("header:"):
        named.append(signature.time.removeprefix("header:").lower())
    texts = st.text(st.characters(max_codepoint=255))
    headers = data.draw(st.fixed_dictionaries(dict.fromkeys(named, texts)))
    request = WebhookRequest(headers, data.draw(st.binary()), URL + data.draw(st.text()))
    assert outcome(sender, request) != "ok"


def test_a_form_of_empty_fields_does_not_replace_a_json_body_of_the_same_address() -> None:
    request = TWILIO_JSON.request()
    form = {**request.headers, "content-type": "application/x-www-form-urlencoded"}
    changed = dataclasses.replace(request, headers=form, body=b"=&=")
    assert outcome(TWILIO_JSON, changed) == "body_digest_wrong"


def test_a_body_beside_the_signed_fields_of_a_form_is_refused() -> None:
    described = {"header": "x-signature", "signed": "{url}{form}"}
    table = {"acme": {"secrets": ["s3cret"], "signature": described}}
    source = read_sources(json.dumps(table), PRESETS)["acme"]
    # The fields of a captured form, moved to the end of the address.
    address = URL + "acme?a=1" + "To+49"
    mac = hmac.digest(b"s3cret", address.encode(), "sha256").hex()
    headers = {"content-type": "application/json", "x-signature": mac}
    request = WebhookRequest(headers, b'{"forged":true}', address)
    with pytest.raises(Unverified) as raised:
        verify(request, source.signature, [b"s3cret"], NOW)
    assert raised.value.code == "body_digest_missing"


def test_a_signed_id_that_is_no_text_of_unicode_is_a_wrong_signature() -> None:
    described = {"header": "x-signature", "signed": "{id}{body}", "id": "body:id"}
    table = {"acme": {"secrets": ["s3cret"], "signature": described}}
    source = read_sources(json.dumps(table), PRESETS)["acme"]
    request = WebhookRequest({"x-signature": "00"}, b'{"id":"\\ud800"}', URL + "acme")
    with pytest.raises(Unverified) as raised:
        verify(request, source.signature, [b"s3cret"], NOW)
    assert raised.value.code == "signature_wrong"


def test_a_json_body_whose_digest_was_not_signed_is_refused() -> None:
    signature = RequestValidator(TEXT_SECRET).compute_signature(URL + "twilio", {})
    request = WebhookRequest(
        {"content-type": "application/json", "x-twilio-signature": signature}, BIG, URL + "twilio"
    )
    assert outcome(by_name("twilio"), request) == "body_digest_missing"


def test_a_standard_webhook_without_its_id_is_refused() -> None:
    sender = by_name("standard-webhooks")
    request = sender.request()
    headers = {key: value for key, value in request.headers.items() if key != "webhook-id"}
    assert outcome(sender, dataclasses.replace(request, headers=headers)) == "id_missing"


def test_an_own_sender_is_described_by_a_table() -> None:
    table = {
        "acme": {
            "secrets": ["s3cret"],
            "type": ["body:kind"],
            "signature": {
                "header": "X-Acme-Signature",
                "signed": "{time}|{body}",
                "time": "header:X-Acme-Time",
                "hashes": ["sha512"],
                "encoding": "base64",
                "tolerance": 60,
            },
        }
    }
    source = read_sources(json.dumps(table), PRESETS)["acme"]
    mac = hmac.digest(b"s3cret", b"1790000000|{}", "sha512")
    headers = {
        "x-acme-signature": b64encode(mac).decode(),
        "x-acme-time": "1790000000",
    }
    request = WebhookRequest(headers, b"{}", URL)
    verify(request, source.signature, [b"s3cret"], NOW)
    with pytest.raises(Unverified, match="61 s away"):
        verify(request, source.signature, [b"s3cret"], NOW + 61)
