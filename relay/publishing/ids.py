"""Ids of events that have none of their own: from the seed of a request by Inngest's rule, or new.

Source of the rule: `pkg/event/id.go` of Inngest v1.43. It is the server's rule for internal ids,
and the server uses the internal id for an event without an own one.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable

from msgspec import Struct

SEED_HEADER = "x-inngest-event-id-seed"

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ENTROPY_BYTES = 10
_LATEST = 2**48 - 1
"""The largest time in milliseconds that a ULID can hold."""

_LONGEST_SEED = 100
_MILLIS = re.compile(r"\+?[0-9]{1,19}", re.ASCII)


class Seed(Struct, frozen=True):
    """What the SDKs send with all tries of one `send()`: a time and ten random bytes."""

    millis: int
    entropy: bytes

    def id(self, position: int) -> str:
        """The id of the event at this position of the request, counted from 1.

        The position is added to the last four bytes, without a carry into the others.
        """
        last = (int.from_bytes(self.entropy[6:], "big") + position) % 2**32
        return ulid(self.millis, self.entropy[:6] + last.to_bytes(4, "big"))


def parse_seed(text: str | None) -> Seed | None:
    """The seed in the header's value, `<milliseconds>,<base64 of ten bytes>`.

    None for any other text: Inngest ignores such a seed too, and gives each event a new id.
    """
    if text is None or len(text) > _LONGEST_SEED:
        return None
    millis, comma, encoded = text.partition(",")
    if not comma or not _MILLIS.fullmatch(millis):
        return None
    try:
        entropy = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    if len(entropy) != _ENTROPY_BYTES or not 0 < int(millis) <= _LATEST:
        return None
    return Seed(int(millis), entropy)


def ulid(millis: int, entropy: bytes) -> str:
    """The ULID of a time in milliseconds and ten bytes (https://github.com/ulid/spec)."""
    number = (millis << 80) | int.from_bytes(entropy, "big")
    return "".join([_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)])


def new_seed(
    clock: Callable[[], float] = time.time,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Seed:
    """A seed of now, for events that came without one. `clock` is in epoch seconds."""
    return Seed(max(1, int(clock() * 1_000)), random(_ENTROPY_BYTES))
