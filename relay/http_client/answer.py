"""What a server answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Header names are in lower case; of one that came twice the last value counts.

    `body` is cut, and `whole` False, where it was longer than the limit that was asked for.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True
