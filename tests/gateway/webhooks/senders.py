"""Requests as the real senders make them, signed by the senders' own libraries where they sign."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

import stripe
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook
from twilio.request_validator import RequestValidator

from relay.gateway.webhooks.presets import PRESETS
from relay.gateway.webhooks.request import WebhookRequest
from relay.gateway.webhooks.sources import Source, key_of, read_sources
from relay.gateway.webhooks.verification import Unverified, verify

NOW = 1_790_000_000.0
URL = "https://hooks.example.com/webhooks/"
TEXT_SECRET = "a secret of the sender"
BASE64_SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four byte").decode()

BIG = b'{"id":"evt_1","type":"invoice.paid","action":"opened","amount":12345678901234567890}'
"""A body with an integer that no double holds."""


@dataclass(frozen=True)
class Sender:
    """A sender: how it signs a body.

    Attributes:
        name: the preset.
        secret: what both sides know.
        signed: the headers and the query for a body, at a time and with a secret.
        body: what it sends by default.
        content_type: of that body.
    """

    name: str
    secret: str
    signed: Callable[[bytes, float, str], tuple[Mapping[str, str], str]]
    body: bytes = BIG
    content_type: str = "application/json"

    @property
    def source(self) -> Source:
        """The source as a user configures it: by its name and secret."""
        return read_sources(json.dumps({self.name: {"secrets": [self.secret]}}), PRESETS)[self.name]

    def request(
        self, body: bytes | None = None, *, at: float = NOW, secret: str | None = None
    ) -> WebhookRequest:
        """A signed request."""
        body = self.body if body is None else body
        headers, query = self.signed(body, at, secret or self.secret)
        return WebhookRequest(
            {"content-type": self.content_type, **headers},
            body,
            URL + self.name + query,
            self.source.form_json,
        )


def _standard(body: bytes, at: float, secret: str) -> tuple[dict[str, str], str]:
    when = datetime.fromtimestamp(at, UTC)
    signature = Webhook(secret).sign("msg_1", when, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1a,AAAA {signature}",
    }, ""


def _svix(body: bytes, at: float, secret: str) -> tuple[dict[str, str], str]:
    headers, _ = _standard(body, at, secret)
    return {key.replace("webhook", "svix"): value for key, value in headers.items()}, ""


def _stripe(body: bytes, at: float, secret: str) -> tuple[dict[str, str], str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at))
    return {"stripe-signature": header + ",v0=00"}, ""


def _github(body: bytes, _: float, secret: str) -> tuple[dict[str, str], str]:
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "x-hub-signature-256": f"sha256={mac}",
        "x-github-event": "pull_request",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    }, ""


def _gitlab(_: bytes, __: float, secret: str) -> tuple[dict[str, str], str]:
    return {"x-gitlab-token": secret, "idempotency-key": "key-1"}, ""


def _shopify(body: bytes, _: float, secret: str) -> tuple[dict[str, str], str]:
    mac = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {
        "x-shopify-hmac-sha256": base64.b64encode(mac).decode(),
        "x-shopify-topic": "orders/create",
        "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    }, ""


def _slack(body: bytes, at: float, secret: str) -> tuple[dict[str, str], str]:
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(int(at)), body=body)
    return {
        "x-slack-signature": str(signature),
        "x-slack-request-timestamp": str(int(at)),
    }, ""


def _twilio(body: bytes, _: float, secret: str) -> tuple[dict[str, str], str]:
    fields = dict(part.split("=", 1) for part in body.decode().split("&"))
    plain = {name: value.replace("+", " ") for name, value in fields.items()}
    signature = RequestValidator(secret).compute_signature(URL + "twilio", plain)
    return {"x-twilio-signature": signature, "i-twilio-idempotency-token": "token-1"}, ""


def _meta(body: bytes, _: float, secret: str) -> tuple[dict[str, str], str]:
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={mac}"}, ""


def _twilio_json(body: bytes, _: float, secret: str) -> tuple[dict[str, str], str]:
    validator = RequestValidator(secret)
    query = f"?bodySHA256={validator.compute_hash(body.decode())}"
    signature = validator.compute_signature(URL + "twilio" + query, {}, "HMAC_SHA256")
    return {"x-twilio-signature": signature}, query


SLACK_BODY = b'{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}'
TWILIO_BODY = urlencode({"MessageStatus": "delivered", "To": "+1555", "Body": ""}).encode()
TWILIO_BODY = TWILIO_BODY.replace(b"%2B1555", b"1555").replace(b"&Body=", b"&Body=two+words")

TWILIO_JSON = Sender("twilio", TEXT_SECRET, _twilio_json, b'{"EventType":"call.ended"}')

SENDERS = [
    Sender("standard-webhooks", BASE64_SECRET, _standard),
    Sender("svix", BASE64_SECRET, _svix),
    Sender("stripe", "whsec_text", _stripe),
    Sender("github", TEXT_SECRET, _github),
    Sender("gitlab", TEXT_SECRET, _gitlab, b'{"object_kind":"push"}'),
    Sender("shopify", TEXT_SECRET, _shopify),
    Sender("slack", TEXT_SECRET, _slack, SLACK_BODY),
    Sender("twilio", TEXT_SECRET, _twilio, TWILIO_BODY, "application/x-www-form-urlencoded"),
    TWILIO_JSON,
    Sender("meta", TEXT_SECRET, _meta, b'{"object":"page"}'),
]

NAMES = {
    "standard-webhooks": "standard-webhooks/invoice.paid",
    "svix": "svix/invoice.paid",
    "stripe": "stripe/invoice.paid",
    "github": "github/pull_request.opened",
    "gitlab": "gitlab/push",
    "shopify": "shopify/orders/create",
    "slack": "slack/app_mention",
    "twilio": "twilio/delivered",
    "meta": "meta/page",
}
IDS = {
    "standard-webhooks": "standard-webhooks:msg_1",
    "svix": "svix:msg_1",
    "stripe": "stripe:evt_1",
    "github": "github:72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "gitlab": "gitlab:key-1",
    "shopify": "shopify:b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    "slack": "slack:Ev1",
    "twilio": "twilio:token-1",
    "meta": None,
}


def outcome(
    sender: Sender, request: WebhookRequest, *, secrets: tuple[str, ...] = (), now: float = NOW
) -> str:
    """`ok`, or the code of the refusal."""
    source = sender.source
    keys = [key_of(secret, source.signature.key) for secret in secrets or source.secrets]
    try:
        verify(request, source.signature, keys, now)
    except Unverified as refused:
        return refused.code if str(refused) else "no sentence"
    return "ok"


def by_name(name: str) -> Sender:
    return next(sender for sender in SENDERS if sender.name == name)
