"""The verification agrees with the libraries that the senders publish for it."""

from __future__ import annotations

import dataclasses
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import stripe
from gidgethub import ValidationFailure
from gidgethub.sansio import validate_event
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks.webhooks import Webhook
from twilio.request_validator import RequestValidator

from relay.gateway.webhooks.request import WebhookRequest
from tests.gateway.webhooks.senders import (
    NOW,
    TEXT_SECRET,
    TWILIO_JSON,
    URL,
    Sender,
    by_name,
    outcome,
)


def _stripe(body: bytes, header: str, secret: str) -> None:
    stripe.WebhookSignature.verify_header(body, header, secret)


class _At(Clock):
    def now(self) -> float:
        return NOW


def _slack(request: WebhookRequest, secret: str) -> bool:
    return SignatureVerifier(secret, _At()).is_valid_request(request.body, dict(request.headers))


def _github(request: WebhookRequest, secret: str) -> bool:
    try:
        validate_event(
            request.body, signature=request.headers["x-hub-signature-256"], secret=secret
        )
    except ValidationFailure:
        return False
    return True


def _standard(request: WebhookRequest, secret: str) -> bool:
    try:
        Webhook(secret).verify(request.body, dict(request.headers), json_parse=False)
    except Exception:  # noqa: BLE001 - the library raises many
        return False
    return True


def _twilio_json(request: WebhookRequest, secret: str) -> bool:
    return bool(
        RequestValidator(secret).validate(
            request.url, request.body.decode(), request.headers["x-twilio-signature"], "HMAC_SHA256"
        )
    )


@pytest.mark.parametrize(
    ("sender", "library"),
    [
        (by_name("slack"), _slack),
        (by_name("github"), _github),
        (TWILIO_JSON, _twilio_json),
    ],
    ids=["slack", "github", "twilio"],
)
@given(cut=st.integers(0, 60), at=st.integers(0, 1_000), put=st.characters(codec="ascii"))
def test_the_vendors_library_agrees_on_every_changed_signature(
    sender: Sender,
    library: Callable[[WebhookRequest, str], bool],
    cut: int,
    at: int,
    put: str,
) -> None:
    request = sender.request()
    header = sender.source.signature.header
    text = request.headers[header]
    place = at % (len(text) + 1)
    changed = text[:place] + put + text[place + cut % 2 :]
    altered = dataclasses.replace(request, headers={**request.headers, header: changed.strip()})
    ours = outcome(sender, altered) == "ok"
    theirs = library(altered, sender.secret)
    assert ours or not theirs
    # The same bytes may be written in more than one way, of which a library may know only one.
    assert theirs or not ours or _signature_bytes(changed, sender) == _signature_bytes(text, sender)


def _signature_bytes(header: str, sender: Sender) -> bytes:
    label = sender.source.signature.label
    text = header.strip().removeprefix(label + sender.source.signature.assign if label else "")
    return bytes.fromhex(text) if sender.source.signature.encoding == "hex" else b64decode(text)


def test_the_standard_webhooks_library_accepts_what_we_accept_now() -> None:
    sender = by_name("standard-webhooks")
    now = datetime.now(UTC).timestamp()
    request = sender.request(at=now)
    plain = dict(request.headers)
    assert _standard(dataclasses.replace(request, headers=plain), sender.secret)
    assert outcome(sender, request, now=now) == "ok"


def test_stripe_accepts_what_we_accept_now() -> None:
    sender = by_name("stripe")
    now = datetime.now(UTC).timestamp()
    request = sender.request(at=now)
    _stripe(request.body, request.headers["stripe-signature"], sender.secret)
    assert outcome(sender, request, now=now) == "ok"


def test_twilio_may_sign_the_address_with_or_without_the_port() -> None:
    for signed, seen in (
        ("https://hooks.example.com:443/webhooks/twilio", URL + "twilio"),
        (URL + "twilio", "https://hooks.example.com:443/webhooks/twilio"),
        (
            "https://hooks.example.com/webhooks/twilio",
            "https://hooks.example.com:8443/webhooks/twilio",
        ),
    ):
        signature = RequestValidator(TEXT_SECRET).compute_signature(signed, {"A": "b"})
        request = WebhookRequest(
            {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature},
            b"A=b",
            seen,
        )
        assert outcome(by_name("twilio"), request) == "ok"
        assert RequestValidator(TEXT_SECRET).validate(seen, {"A": "b"}, signature)


def test_twilio_signs_repeated_fields_sorted_and_once() -> None:
    class Fields(dict[str, list[str]]):
        def getlist(self, name: str) -> list[str]:
            return self[name]

    fields = Fields(b=["2", "1", "2"], a=[""])
    signature = RequestValidator(TEXT_SECRET).compute_signature(URL + "twilio", fields)
    request = WebhookRequest(
        {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature},
        b"b=2&b=1&b=2&a=",
        URL + "twilio",
    )
    assert outcome(by_name("twilio"), request) == "ok"
