"""The settings and examples on the destinations' pages are valid as they are written there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from relay.settings.destination_value_types import Destination
from relay.settings.loading import load

PAGES = Path(__file__).parents[2] / "docs" / "destinations"
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
ELSEWHERE = ("CA_FILE", "pip install")
"""Parts of sentences about what is missing on this machine."""


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((PAGES / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("destination", get_args(Destination))
def test_the_settings_on_a_page_are_complete(destination: str, tmp_path: Path) -> None:
    text = next(body for _, body in blocks(f"{destination}.md") if "RELAY_DESTINATION=" in body)
    file = tmp_path / "relay.env"
    file.write_text("\n".join(re.findall(r"^RELAY_.*$", text, re.MULTILINE)), encoding="utf-8")
    loaded = load({}, file)
    assert loaded.settings.destinations == (destination,)
    assert [one for one in loaded.problems if not any(word in one for word in ELSEWHERE)] == []
    assert loaded.warnings == ()


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md")))
def test_every_setting_on_a_page_exists(page: str, tmp_path: Path) -> None:
    text = (PAGES / page).read_text(encoding="utf-8")
    found = set(re.findall(r"RELAY_[A-Z_]+[A-Z]", text))
    assert found
    assert load(dict.fromkeys(found, "")).warnings == ()


@pytest.mark.parametrize("page", ["prefect.md", "temporal.md"])
def test_python_on_a_page_is_valid(page: str) -> None:
    (code,) = (body for language, body in blocks(page) if language == "python")
    ast.parse(code)


def test_the_examples_of_status_rules_and_routes_are_valid() -> None:
    lines = [
        line
        for page in ("README.md", "webhook.md")
        for _, body in blocks(page)
        for line in body.splitlines()
        if line.startswith(("RELAY_ROUTES=", "RELAY_WEBHOOK_STATUS_RULES="))
    ]
    assert len(lines) == 2
    for line in lines:
        name, _, value = line.partition("=")
        assert load({name: value}).errors == ()
