"""The MD5s by which SDKs check what they sent and got."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5

from relay.local.sqs.parameters import AttributeValue

_TEXT, _BYTES = b"\x01", b"\x02"


def md5_of_body(body: bytes) -> str:
    """The digest of a body in UTF-8."""
    return md5(body, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, AttributeValue]) -> str | None:
    """The digest of attributes in the order of their names; None for none.

    The form is the developer guide's: each name, type and value with its length before it, and a
    byte before the value that tells text from bytes.
    """
    if not attributes:
        return None
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        digest.update(_measured(name.encode()) + _measured(value.data_type.encode()))
        digest.update(_value(value))
    return digest.hexdigest()


def _value(value: AttributeValue) -> bytes:
    if value.binary_value is not None:
        return _BYTES + _measured(value.binary_value)
    return _TEXT + _measured((value.string_value or "").encode())


def _measured(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
