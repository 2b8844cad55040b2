"""The table of metrics as Markdown; `docs/metrics.md` holds this text."""

from __future__ import annotations

from collections.abc import Iterator

from relay.telemetry import metrics
from relay.telemetry.prometheus import prometheus_name


def reference() -> str:
    """Every metric with its names, its kind, its unit and its meaning."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "| CloudWatch | Prometheus | kind | unit | meaning |"
    yield "|---|---|---|---|---|"
    for metric in metrics.METRICS:
        labels = f" By `{'`, `'.join(metric.labels)}`." if metric.labels else ""
        yield (
            f"| `{metric.name}` | `{prometheus_name(metric)}` | {metric.kind.value}"
            f" | {metric.unit} | {metric.description}{labels} |"
        )
