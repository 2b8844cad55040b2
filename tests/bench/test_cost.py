"""The arithmetic that is shown adds up to the cost."""

from __future__ import annotations

import re

import pytest

from bench.cost import costs

OPTIONS = costs({"requests": 0.2, "cpu": 180.0}, {"cpu": 260.0})


@pytest.mark.parametrize("at", range(len(OPTIONS)))
def test_the_parts_add_up(at: int) -> None:
    parts = [float(part) for part in re.findall(r"= \$([\d.]+)", OPTIONS[at]["arithmetic"])]
    assert sum(parts) == pytest.approx(OPTIONS[at]["dollars"], abs=0.001)


def test_cpu_costs_its_share_of_an_instance() -> None:
    idle, busy = (costs({"requests": 0.2, "cpu": cpu}, {"cpu": 0.0})[0] for cpu in (0.0, 3_600.0))
    # A core hour; the instance has 0.4 of them per hour.
    assert busy["dollars"] - idle["dollars"] == pytest.approx(0.0208 / 0.4)
