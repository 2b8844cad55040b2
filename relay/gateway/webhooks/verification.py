"""Verification of a webhook's signature, on the raw body and in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from relay.gateway.webhooks.places import read_place
from relay.gateway.webhooks.request import WebhookRequest
from relay.gateway.webhooks.sources import Signature

MAX_SIGNATURES = 32
"""Signatures of one header that are compared. A sender has one for each of its secrets."""

_PLACEHOLDER = re.compile(rb"(\{\w+\})")
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


class Unverified(Exception):
    """The request is not proven to come from the source.

    Attributes:
        code: stable, for metrics and logs.
        sentence: what is wrong, for the person who set up the webhook.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def verify(
    request: WebhookRequest, signature: Signature, keys: Sequence[bytes], now: float
) -> None:
    """Check that the sender holds one of the keys, and that the request is recent.

    Args:
        request: the request.
        signature: how its source signs.
        keys: the source's current keys.
        now: seconds since 1970.

    Raises:
        Unverified: `signature_missing`, `signature_unreadable`, `signature_wrong`, `time_missing`,
            `time_unreadable`, `time_off`, `id_missing`, `body_digest_missing` or
            `body_digest_wrong`.
    """
    header = request.headers.get(signature.header.lower(), "").strip()
    if not header:
        raise Unverified("signature_missing", f"the request has no {signature.header} header")
    if not signature.hashes:
        _check_secret(header, keys)
        return
    given = list(_decoded(header, signature))
    if not given:
        raise Unverified(
            "signature_unreadable", f"the {signature.header} header has no readable signature"
        )
    time = _signed_time(header, signature, request)
    _check_signatures(given, _signed_texts(signature, request, time), signature, keys)
    _check_body(signature, request)
    # After the signature, so that a wrong clock is only told to those who hold a key.
    _check_time(time, signature, now)


def _check_secret(header: str, keys: Sequence[bytes]) -> None:
    if not sum(hmac.compare_digest(header.encode(), key) for key in keys):
        raise Unverified("signature_wrong", "the token is not one of the source's secrets")


def _elements(header: str, signature: Signature) -> list[tuple[str, str]]:
    """The labels of the header, each with its value."""
    parts = header.split(signature.separator) if signature.separator else [header]
    pairs = [part.strip().partition(signature.assign) for part in parts]
    return [(label, value) for label, _, value in pairs]


def _decoded(header: str, signature: Signature) -> Iterator[bytes]:
    """The signatures in the header, as bytes. Those of other schemes and garbage are left out."""
    texts = [header]
    if signature.label:
        found = _elements(header, signature)
        texts = [value for label, value in found if label == signature.label]
    for text in texts[:MAX_SIGNATURES]:
        try:
            if signature.encoding == "hex":
                yield bytes.fromhex(text)
            else:
                yield base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            continue


def _signed_time(header: str, signature: Signature, request: WebhookRequest) -> str:
    if not signature.time:
        return ""
    kind, _, label = signature.time.partition(":")
    if kind == "label":
        time = dict(_elements(header, signature)).get(label, "")
    else:
        time = read_place(signature.time, request)
    if not time:
        raise Unverified("time_missing", "the request has no signed time")
    if not _SECONDS.fullmatch(time):
        raise Unverified("time_unreadable", "the signed time is not a number of seconds since 1970")
    return time


def _check_time(time: str, signature: Signature, now: float) -> None:
    if time and abs(now - int(time)) > signature.tolerance:
        raise Unverified(
            "time_off",
            f"the signed time is {abs(now - int(time)):.0f} s away from the gateway's clock; at"
            f" most {signature.tolerance:.0f} s are allowed",
        )


def _signed_texts(signature: Signature, request: WebhookRequest, time: str) -> list[bytes]:
    """What the sender may have signed: more than one text only where an address is signed."""
    signed_id = read_place(signature.id, request) if signature.id else ""
    if signature.id and not signed_id:
        raise Unverified("id_missing", "the request has no signed id")
    values = {
        b"{body}": request.body,
        b"{time}": time.encode(),
        b"{id}": signed_id.encode(errors="surrogatepass"),
        b"{form}": _sorted_form(request),
    }
    parts = _PLACEHOLDER.split(signature.signed.encode())
    urls = _addresses(request.url) if b"{url}" in parts else [request.url]
    return [
        b"".join(
            {**values, b"{url}": url.encode(errors="surrogateescape")}.get(part, part)
            for part in parts
        )
        for url in urls
    ]


def _sorted_form(request: WebhookRequest) -> bytes:
    """Each field's name and value, sorted, equal values once: what Twilio signs."""
    fields = request.form
    pairs = (name + value for name in sorted(fields) for value in sorted(set(fields[name])))
    return "".join(pairs).encode()


def _addresses(url: str) -> list[str]:
    """The address with and without the default port: Twilio is documented to sign either."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    port = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    bare = parts.netloc.removesuffix(port) if port else parts.netloc
    if ":" in bare.rpartition("]")[2]:
        return [url, parts._replace(netloc=bare.rpartition(":")[0]).geturl()]
    return [parts._replace(netloc=netloc).geturl() for netloc in (bare, bare + port)]


def _check_signatures(
    given: Sequence[bytes], texts: Sequence[bytes], signature: Signature, keys: Sequence[bytes]
) -> None:
    """Compare all with all, so that the time taken does not depend on which one matches."""
    expected = [
        hmac.digest(key, text, name) for key in keys for text in texts for name in signature.hashes
    ]
    if not sum(hmac.compare_digest(one, other) for one in given for other in expected):
        raise Unverified(
            "signature_wrong",
            "no signature of the request matches: check the source's secret, and that nothing in"
            " between changes the body",
        )


def _check_body(signature: Signature, request: WebhookRequest) -> None:
    """Check that the body is signed: as a whole, as a form's fields, or by its signed digest.

    A form whose fields are all empty adds nothing to the signed text, so that nothing proves it.
    """
    if "{form}" in signature.signed and _sorted_form(request):
        return
    if "{body}" in signature.signed and not signature.body_digest:
        return
    digest = read_place(signature.body_digest, request).lower()
    if not digest:
        if not request.body:
            return
        raise Unverified("body_digest_missing", "nothing in the request proves the body's origin")
    if not hmac.compare_digest(
        digest.encode(errors="surrogatepass"), hashlib.sha256(request.body).hexdigest().encode()
    ):
        raise Unverified("body_digest_wrong", "the body does not match its signed digest")
