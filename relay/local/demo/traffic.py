"""The script of the demonstration: a reproducible mix of honest events, repeats and poison."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from relay.local.demo.publication import Publication
from relay.local.demo.samples import (
    HONEST,
    LISTENED,
    PUSHED,
    Sample,
    half_bad,
    plain,
    poison,
    setup_notice,
)

POISON_SHARE = 0.06
REPEAT_SHARE = 0.05
HALF_BAD_SHARE = 0.01
GROUPS = 40


def traffic(messages: int, seed: int, *, pushed: bool) -> list[Publication]:
    """So many messages to publish, in order; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a script to replay, not a secret
    honest = PUSHED if pushed else HONEST
    script = [_mixed(chance, number, honest) for number in range(messages)]
    return [replace(p, group=f"group-{chance.randrange(GROUPS)}") for p in script]


def _mixed(chance: random.Random, number: int, honest: Sequence[Sample]) -> Publication:
    draw = chance.random()
    if number == 0:
        return setup_notice("", number)
    if draw < POISON_SHARE:
        return poison(number)
    if draw < POISON_SHARE + REPEAT_SHARE:
        return _repeat(chance, number)
    if draw < POISON_SHARE + REPEAT_SHARE + HALF_BAD_SHARE:
        return half_bad(number)
    return chance.choice(honest)(chance.choice(LISTENED), number)


def _repeat(chance: random.Random, number: int) -> Publication:
    """A producer that heard no answer and published an earlier event again, under its id."""
    again = plain(chance.choice(LISTENED), chance.randrange(max(1, number)))
    return replace(again, kind="repeated by its producer")
