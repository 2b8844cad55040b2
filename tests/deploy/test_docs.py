"""docs/deploy.md documents every option and existing outputs; its links and sums are right."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from relay_cdk.options import Options
from tests.deploy.template import Template

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "deploy.md").read_text()


def test_every_option_is_documented() -> None:
    table = TEXT.split("## Options")[1].split("##")[0]
    assert {f.name for f in fields(Options)} <= set(re.findall(r"`(\w+)`", table))


def test_the_outputs_that_it_names_exist(customized: Template) -> None:
    named = set(re.findall(r"`([A-Z][a-zA-Z]+(?:Arn|Secret|Topic))`", TEXT))
    assert {"EventKeySecret", "ProducerPolicyArn", "AlarmTopic"} <= named <= set(customized.outputs)


def test_its_links_lead_to_existing_sections() -> None:
    for name in ("deploy.md", "runbook.md"):
        for file, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", (DOCS / name).read_text()):
            headings = re.findall(r"^#+ (.+)$", (DOCS / (file or name)).read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
            assert anchor in anchors


def test_its_costs_add_up() -> None:
    rows = [row.split("|")[-4:-1] for row in TEXT.splitlines() if row.startswith("| ")]
    figures = [[c.strip(" *").replace(",", "") for c in row] for row in rows]
    *parts, total = [[int(c) for c in row] for row in figures if all(c.isdigit() for c in row)]
    assert [sum(column) for column in zip(*parts, strict=True)] == total


def test_its_costs_use_the_right_number_of_alarm_metrics(default: Template) -> None:
    alarms = default.of_type("AWS::CloudWatch::Alarm")
    assert f"{len(list(default.metrics()))} metrics in {len(alarms)} alarms" in TEXT
