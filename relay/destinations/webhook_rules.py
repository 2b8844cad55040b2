"""The rules that give a webhook's answer its meaning: the first matching rule decides.

A rule is `status=verdict` or `status/pattern/=verdict`. The status is a number, a range or a class
such as `4xx`; the pattern is a regular expression that is searched for in the body. An operator
writes it and a server the body, so its work is limited: `.*duplicate` takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from relay.model.traits import WHILE_IT_EXISTS, Traits

Verdict: TypeAlias = Literal["delivered", "duplicate", "reject", "retry", "unavailable", "halt"]

SEARCHED = 8_192
"""Characters of a body that are searched for a pattern that repeats something."""

_REPEATS = re.compile(r"[*+{]")

_RULE = re.compile(
    r"\s*(?P<low>\d(?:\d\d|xx))(?:-(?P<high>\d{3}))?\s*(?:/(?P<pattern>.*)/)?\s*=\s*(?P<verdict>\w+)\s*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """An answer with a status from `low` to `high` and `pattern` in its body has this verdict."""

    low: int
    high: int
    verdict: Verdict
    pattern: re.Pattern[str] | None = None

    def matches(self, status: int, text: str) -> bool:
        """Whether the rule applies to this answer."""
        if not self.low <= status <= self.high:
            return False
        if self.pattern is None:
            return True
        most = SEARCHED if _REPEATS.search(self.pattern.pattern) else len(text)
        return self.pattern.search(text, 0, most) is not None


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules in the text, separated by semicolons.

    Raises:
        ValueError: a part is not a rule.
    """
    return tuple(_rule(part) for part in text.split(";") if part.strip())


def verdict(rules: Sequence[Rule], status: int, text: str) -> Verdict | None:
    """The verdict of the first matching rule; None if no rule matches."""
    return next((rule.verdict for rule in rules if rule.matches(status, text)), None)


def _rule(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if found is None or found["verdict"] not in get_args(Verdict):
        raise ValueError("not a rule such as 409=duplicate")
    low, high = _range(found["low"], found["high"])
    try:
        pattern = re.compile(found["pattern"], re.IGNORECASE) if found["pattern"] else None
    except re.error:
        raise ValueError("not a regular expression") from None
    return Rule(low, high, next(_named(found["verdict"])), pattern)


def _named(name: str) -> Iterator[Verdict]:
    return (one for one in get_args(Verdict) if one == name)


def _range(low: str, high: str | None) -> tuple[int, int]:
    if low.endswith("xx"):
        first = int(low[0]) * 100
        return first, first + 99
    return int(low), int(high or low)


STANDARD = "2xx=delivered; 413=reject; 410=halt"
"""For answers that no other rule matches. All other answers need a second event as evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How a kind of receiver behaves.

    `rules` apply after the configured ones. `secret_url` means that the URL alone grants the right
    to send. `rate` is the requests a second that it accepts, None if unknown.
    """

    traits: Traits
    rules: tuple[Rule, ...]
    secret_url: bool = True
    rate: float | None = None


PRESETS = {
    "generic": Preset(
        traits=Traits(
            name="the webhook",
            recognised_by="the header Idempotency-Key",
            dedup_window=WHILE_IT_EXISTS,
            durable=True,
        ),
        rules=parse_rules(STANDARD),
    ),
    "zapier": Preset(
        traits=Traits(
            name="Zapier",
            recognised_by=None,
            dedup_window=0.0,
            durable=True,
            event_bytes=10_000_000,
        ),
        rules=parse_rules(
            r'2xx/"status"\s*:\s*"success"/=delivered; 2xx=halt; 404=halt; 410=halt; 413=reject'
        ),
        rate=20.0,
    ),
    "make": Preset(
        traits=Traits(
            name="Make",
            recognised_by=None,
            dedup_window=0.0,
            durable=True,
            event_bytes=5_242_880,
        ),
        rules=parse_rules(f"400/queue is full/=unavailable; {STANDARD}"),
        rate=30.0,
    ),
    "argo-events": Preset(
        traits=Traits(
            name="Argo Events",
            recognised_by=None,
            dedup_window=0.0,
            durable=True,
            event_bytes=1_048_576,
        ),
        rules=parse_rules(f"400/inactive/=unavailable; {STANDARD}"),
        secret_url=False,
    ),
}
