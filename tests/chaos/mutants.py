"""Relays that are broken on purpose, one defect each: the judge must catch every one."""

from __future__ import annotations

from collections.abc import Callable

MUTANTS: dict[str, Callable[[], None]] = {}
