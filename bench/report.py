"""The run's figures on the terminal."""

from __future__ import annotations

from rich import table as rich
from rich.console import Console

from bench.tables import SECTIONS, Results, Table


def told(results: Results, console: Console) -> None:
    """Print everything but the JSON."""
    for name, section in SECTIONS.items():
        for table in section(results):
            console.print(_drawn(name, table))


def _drawn(section: str, table: Table) -> rich.Table:
    title = f"{section}: {table.title}" if table.title else section
    drawn = rich.Table(*table.columns, title=title, title_justify="left")
    for row in table.rows:
        drawn.add_row(*(cell.replace("**", "") for cell in row))
    return drawn
