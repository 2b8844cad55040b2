"""Event keys: who may send, which events, and how many."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Protocol

from msgspec import Struct


class Key(Struct, frozen=True, kw_only=True):
    """What the holder of an event key may send. The key itself is not kept.

    Attributes:
        name: names the key in logs and metrics.
        events: patterns of event names, as a shell matches file names; empty for any.
        rate: events a second; None for no limit.
        max_request_bytes: bytes of one request; None for the gateway's own limit.
    """

    name: str
    events: tuple[str, ...] = ()
    rate: float | None = None
    max_request_bytes: int | None = None

    def allows(self, event_name: str) -> bool:
        """Whether an event of this name may be sent."""
        return not self.events or any(fnmatchcase(event_name, one) for one in self.events)


class Keys(Protocol):
    """The keys in force."""

    async def find(self, text: str) -> Key | None:
        """The key with this text, None if there is none. Called for each request."""
        ...


class FixedKeys:
    """Keys that stay the same.

    Args:
        keys: each key's text and what it allows.
    """

    def __init__(self, keys: Iterable[tuple[str, Key]]) -> None:
        self._keys = digests(keys)

    async def find(self, text: str) -> Key | None:
        """The key with this text."""
        return find_key(self._keys, text)


def digests(keys: Iterable[tuple[str, Key]]) -> dict[bytes, Key]:
    """The keys by the SHA-256 of their text."""
    return {_digest(text): key for text, key in keys}


def find_key(known: Mapping[bytes, Key], text: str) -> Key | None:
    """The key with this text. All are compared, so that the time taken tells nothing."""
    digest = _digest(text)
    found = None
    for one, key in known.items():
        if hmac.compare_digest(one, digest):
            found = key
    return found


def parse_keys(text: str) -> list[tuple[str, Key]]:
    """The keys in the text of `RELAY_GATEWAY_KEYS`, such as `web=Yk3nQ7aB,billing=T9sL2mXc`."""
    pairs = (part.partition("=") for part in text.split(","))
    return [(key, Key(name=name)) for name, _, key in pairs]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
