"""The requests of gateway runs, valid and invalid, with the ids that their events must get."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay.local.demo.samples import EVENT_NAMES

SIZES = (1, 1, 1, 2, 5, 30, 150)
LARGE = 1_100_000
"""Bytes: more than fits into a message."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_INVALID: Sequence[dict[str, Any]] = (
    {"data": {}},
    {"name": "", "data": {}},
    {"name": "inngest/reserved"},
    {"name": "demo/one", "data": "text"},
    {"name": "demo/one", "id": 7},
    {"name": "demo/one", "ts": 1_700_000_000},
)


@dataclass(frozen=True)
class EventRequest:
    """One `send()` of a producer, with all its tries.

    Attributes:
        body: an array of events.
        seed: the header of the SDK; None for a producer that sends none.
        ids: the expected id of each event; None for one that only the gateway can know.
        environment: the header that names the environment, if any.
        invalid: whether the request must be refused as a whole.
    """

    body: bytes
    seed: str | None
    ids: tuple[str | None, ...]
    environment: str | None = None
    invalid: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The SDK's headers."""
        found = {"content-type": "application/json", "x-inngest-sdk": "chaos:v1"}
        if self.seed is not None:
            found["x-inngest-event-id-seed"] = self.seed
        if self.environment is not None:
            found["x-inngest-env"] = self.environment
        return found


def draw_requests(chance: random.Random, count: int, *, large: bool) -> list[EventRequest]:
    """This many requests. Event ids are unique among them.

    Args:
        chance: the source of randomness.
        count: how many.
        large: whether some events are too large for a message.
    """
    return [_request(chance, number, large=large) for number in range(count)]


def _request(chance: random.Random, number: int, *, large: bool) -> EventRequest:
    size = chance.choice(SIZES)
    events = [_event(chance, f"{number}-{n}") for n in range(size)]
    if large and chance.random() < 0.1:
        events[chance.randrange(size)]["data"]["noise"] = "x" * LARGE
    invalid = chance.random() < 0.1
    if invalid:
        events[chance.randrange(size)] = dict(chance.choice(_INVALID))
    millis, entropy = 1_790_000_000_000 + number, chance.randbytes(10)
    return EventRequest(
        body=json.dumps(events).encode(),
        seed=f"{millis},{base64.b64encode(entropy).decode()}",
        ids=tuple(
            event["id"] if isinstance(event.get("id"), str) else seeded_id(millis, entropy, at)
            for at, event in enumerate(events, 1)
        ),
        environment=chance.choice((None, None, "branch-a", "branch-b")),
        invalid=invalid,
    )


def _event(chance: random.Random, suffix: str) -> dict[str, Any]:
    event: dict[str, Any] = {"name": chance.choice(EVENT_NAMES), "data": {"n": suffix}}
    if chance.random() < 0.5:
        event["id"] = f"order-{suffix}"
    return event


def seeded_id(millis: int, entropy: bytes, position: int) -> str:
    """The id of an event without an own one, by Inngest's rule, without the relay's code.

    The rule: a ULID of the time and of the entropy, to whose last four bytes the position is added.
    """
    last = (int.from_bytes(entropy[6:], "big") + position) & 0xFFFFFFFF
    value = int.from_bytes(millis.to_bytes(6, "big") + entropy[:6] + last.to_bytes(4, "big"), "big")
    digits = []
    for _ in range(26):
        value, digit = divmod(value, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
