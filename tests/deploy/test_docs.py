"""The deployment's pages name options, outputs, settings and commands that exist."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from relay.settings import clocks
from relay.settings.model import Settings
from relay.settings.reference import variable
from relay.telemetry.metrics import METRICS
from relay_cdk.options import Options
from tests.deploy.template import Template

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "deploy.md").read_text()


def test_every_option_is_documented() -> None:
    table = TEXT.split("## Options")[1].split("##")[0]
    assert {f.name for f in fields(Options)} <= set(re.findall(r"`(\w+)`", table))


def test_the_longest_stop_is_that_of_the_clocks() -> None:
    longest = clocks.KILLED_AFTER - 1
    deadline, rest = clocks.DRAIN_DEADLINE, longest - clocks.DRAIN_DEADLINE
    stated = f"up to {longest:g} s (`RELAY_DRAIN_DEADLINE`, {deadline:g} s, and {rest:g} s)"
    assert stated in TEXT


def test_the_outputs_that_it_names_exist(customized: Template, synthesized: Path) -> None:
    temporal = Template.of(synthesized / "to-temporal.json")
    named = set(re.findall(r"`([A-Z][a-zA-Z]+(?:Arn|Secret|Topic))`", TEXT))
    assert {"EventKeySecret", "ProducerPolicyArn", "AlarmTopic"} <= named
    assert named <= {*customized.outputs, *temporal.outputs}


def test_its_links_lead_to_existing_sections() -> None:
    for name in ("deploy.md", "runbook.md", "operations.md"):
        for file, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", (DOCS / name).read_text()):
            headings = re.findall(r"^#+ (.+)$", (DOCS / (file or name)).read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
            assert anchor in anchors


def test_what_the_operations_page_names_exists() -> None:
    text = (DOCS / "operations.md").read_text()
    settings = {variable(name) for name in Settings.model_fields}
    assert set(re.findall(r"RELAY_[A-Z_]*[A-Z]", text)) <= settings
    options = {field.name for field in fields(Options)}
    assert set(re.findall(r"-c (\w+)=", text)) <= options
    assert {m for m in re.findall(r"`([A-Z][a-zA-Z]+)`", text) if m in METRIC_LIKE} <= {
        metric.name for metric in METRICS
    }
    for group, command in re.findall(r"`(?:RELAY_\S+ )?relay (dlq )?([a-z]+)", text):
        folder = RELAY / "cli" / group.strip()
        commands = {path.stem for path in folder.glob("*.py")} | {"list"}
        assert command in commands, command


RELAY = DOCS.parent / "relay"
METRIC_LIKE = {"Halted", "Rejected", "LedgerFailures", "InFlight", "ForwardLatency"}


def test_the_defaults_on_the_operations_page_are_the_settings() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (DOCS / "operations.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    stated: dict[str, str] = {}
    for row in (row for row in rows if len(row) == 4):
        stated.setdefault(row[2], row[1])
    defaults = Settings.model_fields
    for name, expected in (
        ("max_in_flight", "500"),
        ("receivers", "4"),
        ("request_concurrency", "16"),
        ("max_events", "5,000"),
    ):
        assert f"{defaults[name].default:,}" == stated[f"`{variable(name)}`"] == expected
    assert clocks.HTTP_CONNECTIONS == 50
    assert round(0.9 * clocks.QUEUE_RETENTION / clocks.DAY, 1) == 11.7
    assert (clocks.QUEUE_RETENTION + clocks.DLQ_RETENTION) / clocks.DAY == 27
