"""Requirements files with hashes: entries that extras add, merged into those of the relay.

`python -m relay_cdk.requirements` reads a whole file from standard input and prints what it has
beyond requirements.txt. `make lock` writes the files in `extras` with it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

NAME = "requirements.txt"
EXTRAS = {path.stem: path for path in (Path(__file__).parent / "extras").glob("*.txt")}
"""The entries of each extra of `sqs-relay`."""


def entries(text: str) -> dict[str, str]:
    """The entries by package and marker; one goes on for as long as lines are indented."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        found[entry.partition("\n")[0].rstrip(" \\").replace(" ", "")] = entry
    return found


def packages(text: str) -> set[str]:
    """The names of the packages in a requirements file."""
    return {name.partition("==")[0].lower() for name in entries(text)}


def with_extras(text: str, extras: Sequence[str]) -> str:
    """A requirements file with the entries that the extras add; unchanged without extras."""
    if not extras:
        return text
    merged = entries(text)
    for name in extras:
        merged |= entries(EXTRAS[name].read_text())
    return "\n".join(merged[key] for key in sorted(merged)) + "\n"


def missing_extras(text: str, extras: Sequence[str]) -> list[str]:
    """The extras of which a package is not in a requirements file."""
    found = packages(text)
    return [name for name in extras if not packages(EXTRAS[name].read_text()) <= found]


def main() -> int:
    """Print the entries of standard input that requirements.txt does not have."""
    known = entries(Path(NAME).read_text())
    added = [entry for key, entry in entries(sys.stdin.read()).items() if key not in known]
    sys.stdout.write("\n".join(added) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
