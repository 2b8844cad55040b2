"""docs/performance.md says what its JSON says."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.chart import picture
from bench.page import FIGURES, PAGE, PICTURE, UNMEASURED, filled
from bench.tables import SECTIONS
from bench.targets import overhead, targets


@pytest.fixture
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FIGURES.read_text())
    return found


def test_its_tables_are_those_of_the_run_that_is_kept_beside_it(results: dict[str, Any]) -> None:
    assert filled(PAGE.read_text(), results) == PAGE.read_text()


def test_every_table_has_a_place() -> None:
    page = PAGE.read_text()
    assert [name for name in SECTIONS if f"<!-- bench: {name} -->" not in page] == []


def test_its_picture_is_drawn_from_the_run(results: dict[str, Any]) -> None:
    assert PICTURE.read_text() == picture(results)
    texts = {one.text for one in ET.fromstring(PICTURE.read_text()).iter()}
    assert {"relay poll", "floor", "relay serve", "web worker"} <= texts


def test_what_is_said_of_a_target_follows_from_the_figures(results: dict[str, Any]) -> None:
    found = [(one.name, one.found, one.met) for one in targets(results)]
    assert found == [(one["name"], one["found"], one["met"]) for one in results["targets"]]


def test_what_a_run_left_out_is_said(results: dict[str, Any]) -> None:
    page = "<!-- bench: growth -->\n<!-- /bench -->"
    assert UNMEASURED in filled(page, results | {"growth": {}})


def test_telemetry_is_compared_by_factors() -> None:
    found = {"all": {"turns": [110.0, 440.0]}, "nothing": {"turns": [200.0, 200.0]}}
    assert overhead(found, "all") == pytest.approx(0.1)
