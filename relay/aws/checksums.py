"""The MD5s that SQS sends along, so that damage on the way is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from relay.message import Attribute, Message

# A copy is made in a third of the time: a new one asks OpenSSL for the algorithm by its name.
_EMPTY = hashlib.md5(usedforsecurity=False)


def intact(message: Message, raw: Mapping[str, Any]) -> bool:
    """Whether body and attributes are what SQS hashed; a hash that is absent proves nothing."""
    body = raw.get("MD5OfBody")
    if body is not None and body != _md5(message.body):
        return False
    attributes = raw.get("MD5OfMessageAttributes")
    return attributes is None or attributes == attributes_md5(message.attributes)


def attributes_md5(attributes: Mapping[str, Attribute]) -> str:
    """The hash that SQS documents for message attributes: sorted by name, lengths first."""
    parts: list[bytes] = []
    for name in sorted(attributes):
        attribute = attributes[name]
        text = isinstance(attribute.value, str)
        raw = attribute.value
        # SQS allows no lone surrogate; a stranger's emulator may.
        value = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
        for part in (name.encode(), attribute.data_type.encode()):
            parts += (len(part).to_bytes(4, "big"), part)
        parts += (b"\x01" if text else b"\x02", len(value).to_bytes(4, "big"), value)
    return _md5(b"".join(parts))


def _md5(data: bytes) -> str:
    digest = _EMPTY.copy()
    digest.update(data)
    return digest.hexdigest()
