"""docs/architecture.md says who may import whom, and this holds the code to it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "relay"
SDKS = {"aiobotocore", "boto3", "botocore"}
PURE = ("message", "breaker", "batcher", "backoff", "clocks", "stand_in", "origin", "facts")


def layers() -> dict[str, int]:
    """Each unit's line in the table."""
    text = (ROOT / "docs/architecture.md").read_text()
    table = text.split("<!-- layers -->")[1].split("<!-- /layers -->")[0]
    lines = [line.split("|")[1] for line in table.strip().splitlines()[2:]]
    return {unit: rank for rank, cell in enumerate(lines) for unit in re.findall(r"`(\w+)`", cell)}


def units() -> Iterator[tuple[str, Path]]:
    """Every module of the package with the unit it belongs to."""
    for path in sorted(PACKAGE.rglob("*.py")):
        unit = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if unit != "__init__":
            yield unit, path


def imported(path: Path) -> Iterator[str]:
    """The full names of the modules that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "relay":
                yield from (f"relay.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_unit_has_its_line() -> None:
    assert {unit for unit, _ in units()} == set(layers())


def test_imports_point_up_the_table() -> None:
    rank = layers()
    wrong = [
        f"{path.relative_to(ROOT)} imports relay.{target}"
        for unit, path in units()
        for name in imported(path)
        if name.startswith("relay.")
        and (target := name.split(".")[1]) != unit
        and rank.get(target, -1) >= rank.get(unit, -1)
    ]
    assert wrong == []


def test_only_aws_and_its_stand_ins_import_an_aws_sdk() -> None:
    users = {
        unit for unit, path in units() for name in imported(path) if name.split(".")[0] in SDKS
    }
    assert users <= {"aws", "local"}


@pytest.mark.parametrize("unit", PURE)
def test_the_innermost_units_need_the_standard_library_and_the_maker_of_values_only(
    unit: str,
) -> None:
    for name in imported(PACKAGE / f"{unit}.py"):
        assert name.split(".")[0] in sys.stdlib_module_names | {"msgspec", "relay"}, name
