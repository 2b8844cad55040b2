"""A table, and how figures are written in its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

MEGABYTE = 1_000_000
OURS = ("relay poll", "relay serve")

Results: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table. The first column has names."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def micro(value: float) -> str:
    """Microseconds, or another figure without decimals."""
    return f"{value:,.0f}"


def milli(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{seconds * 1e3:.2f} ms"


def mega(value: float) -> str:
    """Bytes as megabytes."""
    return f"{value / MEGABYTE:.0f} MB"
