"""docs/performance.md and its chart match the JSON."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.chart import chart
from bench.page import CHART, FIGURES, PAGE, UNMEASURED, filled
from bench.tables import SECTIONS
from bench.targets import overhead, targets


@pytest.fixture
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FIGURES.read_text())
    return found


def test_the_tables_match_the_published_run(results: dict[str, Any]) -> None:
    assert filled(PAGE.read_text(), results) == PAGE.read_text()


def test_every_table_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert [name for name in SECTIONS if f"<!-- bench: {name} -->" not in page] == []


def test_the_chart_matches_the_published_run(results: dict[str, Any]) -> None:
    assert CHART.read_text() == chart(results)
    texts = {one.text for one in ET.fromstring(CHART.read_text()).iter()}
    assert {"relay poll", "floor", "relay serve", "web worker"} <= texts


def test_the_targets_follow_from_the_figures(results: dict[str, Any]) -> None:
    found = [(one.name, one.found, one.met) for one in targets(results)]
    assert found == [(one["name"], one["found"], one["met"]) for one in results["targets"]]


def test_a_table_without_figures_says_so(results: dict[str, Any]) -> None:
    page = "<!-- bench: growth -->\n<!-- /bench -->"
    assert UNMEASURED in filled(page, results | {"growth": {}})


def test_telemetry_is_compared_by_geometric_means() -> None:
    found = {"all": {"turns": [110.0, 440.0]}, "nothing": {"turns": [200.0, 200.0]}}
    assert overhead(found, "all") == pytest.approx(0.1)
