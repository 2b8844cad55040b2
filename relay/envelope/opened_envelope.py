"""The content of an envelope: drafts of its events, and what it says about all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from relay.model.event import Json
from relay.model.outcome import Reject


class InvalidContent(Exception):
    """The content breaks a rule. `decode` does not raise it, but returns its `reject`."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.reject = Reject(code, reason)


class EventDraft(Struct, frozen=True, kw_only=True):
    """An event that has passed all checks except that of its size, and has no final id yet.

    `id` is the producer's own and wins over all others. `native_id` is the envelope's id for one
    event among several. It is used unless a configured id or the message's origin takes precedence.
    """

    name: str
    data: Json | None = None
    id: str | None = None
    native_id: str | None = None
    ts: int | None = None
    v: str | None = None
    user: bytes | None = None
    meta: bytes | None = None
    notices: tuple[str, ...] = ()


class OpenedEnvelope(Struct, frozen=True, kw_only=True):
    """The content of one envelope of any kind.

    `id` and `ts` are the envelope's own, for events without one. `content` makes the
    parsed body, in which a configured path is searched. `attributes` are the message attributes
    inside the body.
    """

    kind: str
    drafts: tuple[EventDraft | Reject, ...] = ()
    array: bool = False
    id: str | None = None
    ts: int | None = None
    trace: str | None = None
    content: Callable[[], Any] = dict
    attributes: Mapping[str, str] = {}
    notices: tuple[str, ...] = ()
    acknowledge_reason: str | None = None
