"""What came out of a message."""

from __future__ import annotations

from msgspec import Struct

from relay.message import Event, Reject


class Decoded(Struct, frozen=True, kw_only=True):
    """The events of one message that are still to be delivered.

    Attributes:
        envelope: which kind it was; of an SNS notification, the kind inside it.
        base_id: what the ids of events without an own one are made of, without any generation.
        events: the good ones, each with its position when first seen.
        rejects: the bad ones of an array, as (position, why).
        total: how many events the body holds, pending or not.
        notices: stable words for what was accepted but is worth knowing.
        acknowledge: why the message may be acknowledged although it holds nothing to send.
    """

    envelope: str
    base_id: str
    events: tuple[Event, ...]
    rejects: tuple[tuple[int, Reject], ...] = ()
    total: int
    notices: tuple[str, ...] = ()
    acknowledge: str | None = None
