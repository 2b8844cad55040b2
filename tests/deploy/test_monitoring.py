"""The alert rules for Prometheus and the dashboard for Grafana are current and read what exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from relay.telemetry import metrics
from relay.telemetry.metrics import Kind
from relay.telemetry.prometheus import prometheus_name
from relay_cdk import monitoring, prometheus_rules
from tests.deploy.test_alarms import EXPECTED, sections

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = yaml.safe_load((PROMETHEUS / "relay-rules.yaml").read_text())["groups"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/relay.json").read_text())
ALERTS = [rule for group in RULES for rule in group["rules"]]
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool")


def exported() -> set[str]:
    """The names of all series that a relay serves."""
    found = set()
    for metric in metrics.METRICS:
        name = prometheus_name(metric)
        histogram = metric.kind is Kind.HISTOGRAM
        found |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} if histogram else {name}
    return found


def of_queues() -> set[str]:
    """The names of all series that the exporter serves with our configuration of it."""
    (job,) = yaml.safe_load((PROMETHEUS / "yace.yaml").read_text())["discovery"]["jobs"]
    return {
        f"aws_sqs_{re.sub('(?<=[a-z])(?=[A-Z])', '_', metric['name'])}_{statistic}".lower()
        for metric in job["metrics"]
        for statistic in metric["statistics"]
    }


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", ())


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def names(text: str) -> set[str]:
    return set(re.findall(r"\b(?:relay|aws_sqs)_\w+", text))


@pytest.mark.parametrize("path", list(monitoring.files()), ids=str)
def test_the_file_is_current(path: Path) -> None:
    assert (ROOT / path).read_text() == monitoring.files()[path], "run `make monitoring`"


def test_every_alarm_of_the_stack_is_a_rule_with_its_section_in_the_runbook() -> None:
    alarms = {rule.alarm for members in prometheus_rules.rules().values() for rule in members}
    # `behind` combines the symptoms, which Alertmanager does by inhibition.
    assert alarms == EXPECTED - {"behind"}
    for rule in ALERTS:
        anchor = rule["annotations"]["description"].rpartition("#")[2]
        assert anchor in sections()


def test_rules_speak_of_no_other_host() -> None:
    text = (PROMETHEUS / "relay-rules.yaml").read_text()
    assert not re.search("CloudWatch|environment|sqsd|eb logs", text)


def test_rules_and_dashboard_read_only_what_is_exported() -> None:
    read = names("\n".join([*(rule["expr"] for rule in ALERTS), *expressions()]))
    assert {name for name in read if name.startswith("relay_")} <= exported()
    assert {name for name in read if name.startswith("aws_")} == of_queues()


def test_rules_about_the_relay_need_no_exporter() -> None:
    (group,) = (group for group in RULES if group["name"] == "relay")
    assert not any("aws_" in rule["expr"] for rule in group["rules"])


def test_the_dashboard_has_every_metric_with_its_meaning() -> None:
    (row,) = (panel for panel in DASHBOARD["panels"] if panel["type"] == "row")
    shown = {panel["title"]: panel["description"] for panel in row["panels"]}
    assert shown == {metric.name: metric.description for metric in metrics.METRICS}


def test_panels_have_an_id_each_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells


@needs_promtool
def test_prometheus_accepts_the_rules() -> None:
    rules = str(PROMETHEUS / "relay-rules.yaml")
    ended = subprocess.run(
        [str(PROMTOOL), "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert f"{len(ALERTS)} rules found" in ended.stdout


@needs_promtool
def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    tests = Path(__file__).with_name("prometheus_rules.test.yaml").read_text()
    assert {rule["alert"] for rule in ALERTS} == set(re.findall(r"\bRelay[A-Z]\w+", tests))
    (tmp_path / "rules.yaml").write_text((PROMETHEUS / "relay-rules.yaml").read_text())
    (tmp_path / "tests.yaml").write_text(tests)
    ended = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(tmp_path / "tests.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
