"""Panels of a Grafana dashboard, and their places on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, ROW_HEIGHT, TILE_HEIGHT = 24, 8, 4
Query = tuple[str, str]
"""An expression and its legend."""


def tile(
    title: str, expression: str, text: str, states: Sequence[str] = (), unit: str = "short"
) -> dict[str, Any]:
    """A tile with one value, or with the name of the state that the value stands for."""
    colors = ("green", "orange", "orange", "red") if len(states) > len("no") else ("green", "red")
    mappings = [
        {str(value): {"text": state, "color": color, "index": value}}
        for value, (state, color) in enumerate(zip(states, colors, strict=False))
    ]
    return {
        **_panel("stat", title, [(expression, title)], unit, text),
        "gridPos": {"w": WIDTH // 6, "h": TILE_HEIGHT},
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background" if states else "value",
            "graphMode": "none",
        },
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "mappings": [{"type": "value", "options": one} for one in mappings],
            },
            "overrides": [],
        },
    }


def graph(
    title: str, queries: Sequence[Query], unit: str, text: str = "", width: int = WIDTH // 3
) -> dict[str, Any]:
    """A graph over time; `text` is the description, the title if empty."""
    return {
        **_panel("timeseries", title, queries, unit, text or title),
        "gridPos": {"w": width, "h": ROW_HEIGHT},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def row(title: str, panels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row that is closed at first, with panels in it."""
    return {
        "type": "row",
        "title": title,
        "collapsed": True,
        "panels": [*panels],
        "gridPos": {"w": WIDTH, "h": 1},
    }


def _panel(kind: str, title: str, queries: Sequence[Query], unit: str, text: str) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for position, (expression, legend) in enumerate(queries)
        ],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
    }


def placed(panels: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The panels with ids and positions, from left to right and from top to bottom."""
    numbers = count(1)
    for panel in _in_rows(panels, 0):
        inner = panel.get("panels")
        if inner is not None:
            below = panel["gridPos"]["y"] + 1
            panel["panels"] = [{"id": next(numbers), **one} for one in _in_rows(inner, below)]
        yield {"id": next(numbers), **panel}


def _in_rows(panels: Sequence[dict[str, Any]], top: int) -> Iterator[dict[str, Any]]:
    x, y, height = 0, top, 0
    for panel in panels:
        size = panel["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        yield {**panel, "gridPos": {**size, "x": x, "y": y}}
        x, height = x + size["w"], max(height, size["h"])
