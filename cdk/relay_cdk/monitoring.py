"""Writes the alert rules for Prometheus and the dashboard for Grafana: `make monitoring`.

Each is written twice: for people who use it as it is, and for the Helm chart, whose templates can
only read files of the chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relay_cdk import grafana, prometheus_rules

ROOT = Path(__file__).parents[2]
CHART = Path("deploy/helm/relay/files")


def files() -> Mapping[Path, str]:
    """The content of each file, by its path in the repository."""
    rules, dashboard = prometheus_rules.document(), grafana.document()
    head = (
        "# From the table of metrics and the stack's alarms, by `make monitoring`. Do not edit.\n"
    )
    return {
        Path("deploy/prometheus/relay-rules.yaml"): head + rules,
        CHART / "relay-rules.yaml": rules,
        Path("deploy/grafana/relay.json"): dashboard,
        CHART / "relay.json": dashboard,
    }


def main() -> None:
    """Write the files."""
    for path, content in files().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
