"""The kept inputs of each target: those that reach new code, and those that once failed.

One file a target in `tests/fuzz/corpus`, one input a line, as JSON text in Latin-1 so that most of
an input can be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

DIRECTORY = Path(__file__).parent / "corpus"

MOST = 400
"""Inputs of a target that are kept, the shortest first."""

LONGEST = 4_096
"""Bytes of an input that is kept."""


def read(name: str) -> Sequence[bytes]:
    """The inputs of a target; none if nothing was kept yet."""
    path = DIRECTORY / f"{name}.jsonl"
    if not path.exists():
        return ()
    return [json.loads(line).encode("latin-1") for line in path.read_text().splitlines()]


def write(name: str, inputs: Iterable[bytes]) -> int:
    """Keep these inputs instead. Returns how many there are."""
    kept = sorted({data for data in inputs if len(data) <= LONGEST}, key=lambda d: (len(d), d))
    lines = [json.dumps(data.decode("latin-1")) + "\n" for data in kept[:MOST]]
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / f"{name}.jsonl").write_text("".join(lines))
    return len(lines)
