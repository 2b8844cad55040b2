"""What a webhook's answers mean: a list of rules, the first that fits decides.

A rule is `status=verdict` or `status/pattern/=verdict`, the status a number, a range or a class
such as `4xx`, the pattern a regular expression that is looked for in the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Verdict: TypeAlias = Literal["delivered", "duplicate", "reject", "retry", "unavailable", "halt"]

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

    def fits(self, status: int, text: str) -> bool:
        """Whether the rule is about this answer."""
        found = self.pattern is None or self.pattern.search(text) is not None
        return self.low <= status <= self.high and found


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules in the text, separated by semicolons.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(_rule(part) for part in text.split(";") if part.strip())


def verdict(rules: Sequence[Rule], status: int, text: str) -> Verdict | None:
    """What the rules say of an answer; None where no rule is about it."""
    return next((rule.verdict for rule in rules if rule.fits(status, text)), None)


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
