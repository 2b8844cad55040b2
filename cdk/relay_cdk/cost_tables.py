"""Writes what the stack costs into the documentation: `python -m relay_cdk.cost_tables`.

docs/deploy.md gets the tables, README.md two sentences. A test checks that both are current.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from relay_cdk import costs
from relay_cdk.cost_changes import changes
from relay_cdk.costs import RATES, Line
from relay_cdk.gateway_costs import gateway_lines
from relay_cdk.host_costs import fargate_lines, host_changes, host_sums, lambda_lines
from relay_cdk.prices import MILLION

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- costs -->", "<!-- /costs -->"


def pages() -> Mapping[Path, str]:
    """The block of each page."""
    return {ROOT / "docs" / "deploy.md": _tables(), ROOT / "README.md": _sentences()}


def with_block(page: str, block: str) -> str:
    """The page with its block replaced."""
    pattern = re.compile(f"{BEGIN}\n.*?{END}", re.DOTALL)
    assert len(pattern.findall(page)) == 1, f"one {BEGIN} is expected"  # noqa: S101 - a check
    return pattern.sub(lambda _: f"{BEGIN}\n{block}{END}", page)


def _tables() -> str:
    rates = " | ".join(f"{rate:,}/s" for rate in RATES)
    volume = ", ".join(_volume(rate) for rate in RATES)
    rows = [*_rows(costs.lines()), _sum(costs.lines())]
    return "\n".join(
        [
            f"\nMessages per month: {volume}.\n",
            f"| | calculation | {rates} |",
            "|---|---|---:|---:|---:|",
            *rows,
            "\nWhat changes the sum, in the same dollars per month:\n",
            f"| | calculation | {rates} |",
            "|---|---|---:|---:|---:|",
            *_rows(changes()),
            "\nOn Fargate (`-c worker=fargate`) and Lambda (`-c worker=lambda`):\n",
            f"| | calculation | {rates} |",
            "|---|---|---:|---:|---:|",
            *_rows((*fargate_lines(), *lambda_lines(), *host_sums(), *host_changes())),
            "\nWhat a [gateway](gateway.md) adds, with one event a request:\n",
            f"| | calculation | {rates} |",
            "|---|---|---:|---:|---:|",
            *_rows(gateway_lines()),
            "\n",
        ]
    )


def _volume(rate: float) -> str:
    count = costs.messages(rate) / MILLION
    return f"{rate:,}/s is {count:.2f} million" if rate == 1 else f"{rate:,}/s {count:,.0f} million"


def _rows(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        figures = " | ".join(f"{round(line.cost(rate)):,}" for rate in RATES)
        yield f"| {line.title} | {line.calculation} | {figures} |"


def _sum(lines: Iterable[Line]) -> str:
    """The last row. It is the sum of the figures as they are shown."""
    rows = [[round(line.cost(rate)) for rate in RATES] for line in lines]
    figures = " | ".join(f"**{sum(column):,}**" for column in zip(*rows, strict=True))
    return f"| **sum** | | {figures} |"


def _sentences() -> str:
    slowest, fastest = RATES[0], RATES[-1]
    ledger = costs.ledger_cost(fastest) / costs.messages(fastest) * MILLION
    return (
        f"- **The default stack costs ${per_million(fastest):.2f} per million messages at"
        f" {fastest:,} messages a second,\n"
        f"  and ${per_million(slowest):.2f} at one a second.** It adds sends, traffic, the audit"
        " log and the ledger,\n"
        f"  which alone is ${ledger:.2f}. About ${costs.fixed():.0f} a month is fixed (instances,"
        " disks, addresses, metrics,\n"
        "  alarms, dashboard); at one message a second, only"
        f" {costs.messages(1) / MILLION:.1f} million messages share it\n"
        "  ([docs/deploy.md](docs/deploy.md#what-it-costs)).\n"
    )


def per_million(rate: float) -> float:
    """Dollars for a million messages at a rate."""
    return costs.total(rate) / costs.messages(rate) * MILLION


def main() -> int:
    """Write the blocks."""
    for path, block in pages().items():
        path.write_text(with_block(path.read_text(), block))
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
