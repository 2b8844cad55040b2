"""A synthesized template, with queries by resource type and content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Template:
    """One stack's template."""

    text: str

    @classmethod
    def of(cls, path: Path) -> Template:
        return cls(path.read_text())

    @property
    def resources(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)["Resources"]
        return found

    @property
    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text).get("Outputs", {})
        return found

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The properties of all resources of this type, which starts with `AWS::`."""
        return [
            resource.get("Properties", {})
            for resource in self.resources.values()
            if resource["Type"] == kind
        ]

    def one(self, kind: str) -> dict[str, Any]:
        """The properties of the only resource of this type."""
        (found,) = self.of_type(kind)
        return found

    def queue(self, ending: str) -> dict[str, Any]:
        """The properties of the queue whose name ends like this."""
        (found,) = (q for q in self.of_type("AWS::SQS::Queue") if q["QueueName"].endswith(ending))
        return found

    def options(self) -> dict[tuple[str, str], Any]:
        """The environment's option settings by namespace and name."""
        listed = self.one("AWS::ElasticBeanstalk::Environment")["OptionSettings"]
        return {(o["Namespace"], o["OptionName"]): o["Value"] for o in listed}

    def statements(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """The statements of all policies of these types."""
        for kind in kinds or ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            for policy in self.of_type(kind):
                yield from policy["PolicyDocument"]["Statement"]

    def statement(self, sid: str) -> dict[str, Any]:
        """The statement with this id."""
        return next(s for s in self.statements() if s.get("Sid") == sid)

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Every metric that an alarm uses: namespace, name and dimensions."""
        for alarm in self.of_type("AWS::CloudWatch::Alarm"):
            yield from metrics_of(alarm)


def metrics_of(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The metrics in an alarm's properties, whether it uses one or an expression of several."""
    queries = [q["MetricStat"]["Metric"] for q in alarm.get("Metrics", []) if "MetricStat" in q]
    for metric in queries or [alarm]:
        dimensions = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
        yield {
            "namespace": metric["Namespace"],
            "name": metric["MetricName"],
            "dimensions": dimensions,
        }


def listed(value: Any) -> list[Any]:
    """A policy value that may be a single item or a list, as a list."""
    return value if isinstance(value, list) else [value]
