"""Signs webhook requests according to Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """The key from its `whsec_…` form, or from plain base64.

    Raises:
        ValueError: the text is neither.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("the signing key is not base64") from None
    if not key:
        raise ValueError("the signing key is empty")
    return key


def signature(webhook_id: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> str:
    """The signatures of all keys, in order, separated by spaces."""
    signed = b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)
    macs = (hmac.digest(key, signed, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def signed_headers(
    webhook_id: str, timestamp: int, body: bytes, keys: Sequence[bytes]
) -> Mapping[str, str]:
    """The three headers of the standard, without the signature if there is no key."""
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp)}
    if keys:
        headers["webhook-signature"] = signature(webhook_id, timestamp, body, keys)
    return headers
