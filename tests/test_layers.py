"""The layer table in docs/architecture.md, enforced: who may import whom, and no import circles."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "relay"
SDKS = {"aiobotocore", "boto3", "botocore"}
LIGHT = ("model", "forwarding/batcher.py", "forwarding/circuit_breaker.py", "settings/clocks.py")
MOST_FILES = 430
MOST_LINES = 300
MOST_LOOSE = 6
MOST_SMALL = 20
SMALL = 30


def layers() -> dict[str, int]:
    """Each unit's row in the table."""
    text = (ROOT / "docs/architecture.md").read_text()
    table = text.split("<!-- layers -->")[1].split("<!-- /layers -->")[0]
    rows = [line.split("|")[1] for line in table.strip().splitlines()[2:]]
    return {unit: rank for rank, cell in enumerate(rows) for unit in re.findall(r"`(\w+)`", cell)}


def modules() -> dict[str, Path]:
    """Every module of the package by its full name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def unit_of(module: str) -> str:
    """The first part of a module's name below `relay`; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """The full names of the modules that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module


def test_every_unit_has_its_row() -> None:
    assert {unit for module in MODULES if (unit := unit_of(module))} == set(layers())


def test_imports_point_to_rows_above() -> None:
    rank = layers()
    wrong = [
        f"{module} imports {target}"
        for module, path in MODULES.items()
        for target in imported(path)
        if target.startswith("relay.")
        and unit_of(module)
        and unit_of(target) != unit_of(module)
        and rank.get(unit_of(target), -1) >= rank.get(unit_of(module), -1)
    ]
    assert wrong == []


def test_no_modules_import_each_other() -> None:
    graph = {
        module: {target for target in imported(path) if target in MODULES and target != module}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")


def test_only_aws_and_the_embedded_servers_import_an_aws_sdk() -> None:
    users = {
        unit_of(module)
        for module, path in MODULES.items()
        for name in imported(path)
        if name.split(".")[0] in SDKS
    }
    assert users <= {"aws", "local"}


@pytest.mark.parametrize("part", LIGHT)
def test_the_innermost_modules_need_the_standard_library_and_msgspec_only(part: str) -> None:
    allowed = sys.stdlib_module_names | {"msgspec", "relay"}
    found = PACKAGE / part
    for path in found.rglob("*.py") if found.is_dir() else (found,):
        for name in imported(path):
            assert name.split(".")[0] in allowed, f"{path.name} imports {name}"


def test_the_package_stays_within_its_size_limits() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in MODULES.values()}
    assert {path.name: n for path, n in lines.items() if n > MOST_LINES} == {}
    # A package's own file may say no more than what the package is for.
    modules = {path: n for path, n in lines.items() if path.name != "__init__.py"}
    assert len(modules) <= MOST_FILES
    # The __init__ of a package may contain only its docstring.
    small = [path for path, n in lines.items() if n < SMALL and path.name != "__init__.py"]
    assert len(small) <= MOST_SMALL, small
    loose = [path for path in lines if path.parent == PACKAGE]
    assert len(loose) <= MOST_LOOSE, loose
