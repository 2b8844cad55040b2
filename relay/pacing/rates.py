"""Rates as people write them: one for every destination, or one for each that is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def parse_rates(texts: Sequence[str]) -> Mapping[str, float]:
    """Events a second by destination, from texts such as `20` or `webhook=20`; "" is for the rest.

    Raises:
        ValueError: one of them is none, or two are for the same.
    """
    rates = dict[str, float]()
    for text in texts:
        name, _, number = text.rpartition("=")
        rate = float(number)
        if not (rate > 0 and math.isfinite(rate)) or name.strip() in rates:
            raise ValueError("not rates such as 20 or webhook=20")
        rates[name.strip()] = rate
    return rates


def rate_of(rates: Mapping[str, float], destination: str) -> float | None:
    """The destination's own rate, else that of all; None where nothing is said."""
    return rates.get(destination, rates.get(""))
