"""Each row of the table in docs/durability.md names tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/durability.md").read_text()
ROWS = TEXT.split("<!-- proofs -->")[1].split("<!-- /proofs -->")[0].strip().splitlines()[2:]


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_row_is_proven_by_tests_that_exist(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 4, cells
    assert all(cells)
    proofs = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", cells[3])
    assert proofs, cells[3]
    for file, name in proofs:
        assert name in names_in(ROOT / file), f"{file} has no test {name}"


def test_every_link_leads_to_a_page() -> None:
    for target in re.findall(r"\]\(([\w/.-]+)(?:#[\w-]+)?\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
