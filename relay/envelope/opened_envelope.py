"""An opened envelope: drafts of the events in it, and what it says about all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from relay.model.outcome import Reject


class InvalidContent(Exception):
    """Raised inside this package only; `decode` and the reader of arrays turn it into `reject`."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.reject = Reject(code, reason)


class EventDraft(Struct, frozen=True, kw_only=True):
    """An event that has passed every check but that of its size, before it has its final id.

    `id` is the producer's own and wins over everything. `native` is what the envelope calls this
    one event among several; it counts unless the operator or the message's past names another.
    """

    name: str
    data: bytes | None = None
    id: str | None = None
    native: str | None = None
    ts: int | None = None
    v: str | None = None
    user: bytes | None = None
    notices: tuple[str, ...] = ()


class OpenedEnvelope(Struct, frozen=True, kw_only=True):
    """What one envelope of any kind holds.

    `id` and `ts` are the envelope's own, for events that have none. `content` is the parsed body
    for a configured path to search. `attributes` are those that travel inside the body.
    """

    kind: str
    drafts: tuple[EventDraft | Reject, ...] = ()
    array: bool = False
    id: str | None = None
    ts: int | None = None
    trace: str | None = None
    content: Any = None
    attributes: Mapping[str, str] = {}
    notices: tuple[str, ...] = ()
    acknowledge: str | None = None
