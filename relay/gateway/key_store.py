"""The stored event keys: a JSON document with a hash, and what it allows, for each key."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, structs

from relay.gateway.keys import Key

PREFIX = "rk_"
"""What a new key starts with, so that scanners for leaked secrets can find one."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class BadKeyStore(ValueError):
    """The document is not one of event keys, or the change is impossible. A sentence says why."""


class StoredKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key of the document.

    Attributes:
        name: names the key in logs and metrics.
        sha256: the hexadecimal SHA-256 of the key's text. A key has 256 random bits, so its hash
            tells nothing about it.
        events: patterns of event names, as a shell matches file names; empty for any.
        rate: events a second; None for no limit.
        max_request_bytes: bytes of one request; None for the gateway's own limit.
        created_at: when it was made, ISO 8601.
        revoked_at: when it was revoked; None while it is valid.
    """

    name: str
    sha256: str
    events: tuple[str, ...] = ()
    rate: float | None = None
    max_request_bytes: int | None = None
    created_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def key(self) -> Key:
        """What its holder may send."""
        return Key(
            name=self.name,
            events=self.events,
            rate=self.rate,
            max_request_bytes=self.max_request_bytes,
        )


class KeyStore(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document. A change returns a new one."""

    keys: tuple[StoredKey, ...] = ()

    def valid(self) -> dict[bytes, Key]:
        """The keys that are not revoked, by the digest of their text."""
        return {bytes.fromhex(one.sha256): one.key for one in self.keys if not one.revoked_at}

    def with_new(self, key: StoredKey) -> KeyStore:
        """The document with this key too.

        Raises:
            BadKeyStore: a valid key has its name, or it is not a possible key.
        """
        if any(one.name == key.name and not one.revoked_at for one in self.keys):
            raise BadKeyStore(
                f"there is a key named {key.name}: choose another name, or revoke it first"
            )
        _check(key)
        return KeyStore((*self.keys, key))

    def with_revoked(self, name: str, at: datetime) -> KeyStore:
        """The document in which the key of this name is revoked.

        Raises:
            BadKeyStore: no valid key has this name.
        """
        if not any(one.name == name and not one.revoked_at for one in self.keys):
            valid = ", ".join(one.name for one in self.keys if not one.revoked_at) or "none"
            raise BadKeyStore(f"no valid key is named {name}: the valid keys are {valid}")
        return KeyStore(
            tuple(
                structs.replace(one, revoked_at=at)
                if one.name == name and not one.revoked_at
                else one
                for one in self.keys
            )
        )


def read_key_store(text: str | bytes) -> KeyStore:
    """The document in this text. An empty text is a document without keys.

    Raises:
        BadKeyStore: it is no such document.
    """
    if not text.strip():
        return KeyStore()
    try:
        store = msgspec.json.decode(text, type=KeyStore)
    except (ValueError, RecursionError) as error:
        raise BadKeyStore(f"not a document of event keys: {error}") from None
    for key in store.keys:
        _check(key)
    valid = [key for key in store.keys if not key.revoked_at]
    if len({key.name for key in valid}) < len(valid):
        raise BadKeyStore("not a document of event keys: two valid keys have the same name")
    return store


def write_key_store(store: KeyStore) -> str:
    """The document as text, to be read by people too."""
    return msgspec.json.format(msgspec.json.encode(store), indent=2).decode() + "\n"


def new_key(
    name: str,
    *,
    events: tuple[str, ...] = (),
    rate: float | None = None,
    max_request_bytes: int | None = None,
) -> tuple[str, StoredKey]:
    """The text of a new key, which is nowhere else, and what is stored of it."""
    text = PREFIX + secrets.token_urlsafe(32)
    return text, StoredKey(
        name=name,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        events=events,
        rate=rate,
        max_request_bytes=max_request_bytes,
        created_at=datetime.now(UTC).replace(microsecond=0),
    )


def _check(key: StoredKey) -> None:
    if not _NAME.fullmatch(key.name):
        raise BadKeyStore(
            f"{key.name!r} cannot be a key's name: use up to 64 letters, digits, _, . and -"
        )
    if not _HASH.fullmatch(key.sha256):
        raise BadKeyStore(f"the key {key.name} has no SHA-256 in hexadecimal")
    if (key.rate is not None and not key.rate > 0) or not (
        key.max_request_bytes is None or key.max_request_bytes > 0
    ):
        raise BadKeyStore(f"the limits of the key {key.name} must be greater than 0")
