"""Publishes a run in docs/performance.md, with its JSON and chart: `python -m bench.page FILE`.

The tables between `<!-- bench: NAME -->` and `<!-- /bench -->` are generated, the rest is written
by hand. A test compares the page with the JSON file next to it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from bench.chart import chart
from bench.table import Results, Table
from bench.tables import SECTIONS

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "performance.md"
FIGURES = DOCS / "performance.json"
CHART = DOCS / "performance.svg"

_PLACE = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)

UNMEASURED = "Not part of this run.\n"


def main() -> None:
    """Write the page, the chart and the JSON."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and the file
        sys.exit("usage: python -m bench.page FILE, the JSON of a run")
    file = Path(sys.argv[1])
    if not file.exists():
        sys.exit(f"{file} does not exist; make bench writes build/bench.json")
    results = json.loads(file.read_text().splitlines()[-1])
    FIGURES.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    CHART.write_text(chart(results))
    PAGE.write_text(filled(PAGE.read_text(), results))
    print(f"wrote {PAGE}, {CHART.name} and {FIGURES.name}")


def filled(page: str, results: Results) -> str:
    """The page with the tables of this run."""
    return _PLACE.sub(lambda place: f"{place[1]}{_section(place[2], results)}{place[3]}", page)


def _section(name: str, results: Results) -> str:
    return "\n".join(map(_markdown, SECTIONS[name](results))) or UNMEASURED


def _markdown(table: Table) -> str:
    marks = ("---", *("---:" if _figures(table, at) else "---" for at in _after(table)))
    lines = (table.columns, marks, *table.rows)
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{table.title[0].upper()}{table.title[1:]}:\n\n{text}" if table.title else text


def _after(table: Table) -> range:
    """The columns after the names."""
    return range(1, len(table.columns))


def _figures(table: Table, column: int) -> bool:
    """Whether the column has figures, judged by the length of its cells."""
    return all(len(row[column]) <= len("10,000 to 10,000") for row in table.rows)


if __name__ == "__main__":
    main()
