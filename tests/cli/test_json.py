"""docs/json.md has the type and the fields of everything that `--json` prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from relay.local.demo.reconciliation import Reconciliation
from tests.cli.conftest import Relay

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
SECTIONS = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
LOCAL = {"RELAY_INNGEST_URL": "http://127.0.0.1:1"}


def documented(kind: str) -> set[str]:
    """The fields in the first column of the table of this type."""
    cells = re.findall(r"^\| (`[^|]+) \|", SECTIONS[kind], re.MULTILINE)
    return {field for cell in cells for field in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("sent", ("send", "-", "--queue", "plain")),
        ("status", ("status", "--relay", "http://127.0.0.1:1")),
        ("trace", ("trace", "absent")),
        ("checks", ("doctor",)),
        ("settings", ("config",)),
    ],
)
@pytest.mark.usefixtures("local_sqs")
async def test_the_fields_that_a_command_prints_are_documented(
    relay: Relay, kind: str, arguments: tuple[str, ...]
) -> None:
    result = await relay(*arguments, "--json", stdin='{"name":"a"}\n{"name":"b"}\n', **LOCAL)
    document = json.loads(result.out)
    assert next(iter(document)) == "type"
    assert document.pop("type") == kind
    assert set(document) == documented(kind)


def test_the_fields_of_the_demo_are_documented() -> None:
    found = Reconciliation(
        published=3,
        unique=2,
        ran=2,
        dead_lettered=0,
        lost=0,
        ran_twice=0,
        in_queue=0,
        out_of_order=None,
        codes={},
        kinds={},
    )
    document = json.loads(found.summary(1.0))
    assert document.pop("type") == "demo"
    assert set(document) == documented("demo")
