"""The arithmetic that is shown is the arithmetic that was done."""

from __future__ import annotations

import re

import pytest

from bench.cost import costs

WAYS = costs({"requests": 0.2, "cpu": 180.0}, {"cpu": 260.0})


@pytest.mark.parametrize("at", range(len(WAYS)))
def test_the_parts_add_up(at: int) -> None:
    parts = [float(part) for part in re.findall(r"= \$([\d.]+)", WAYS[at]["how"])]
    assert sum(parts) == pytest.approx(WAYS[at]["dollars"], abs=0.001)


def test_cpu_is_paid_by_the_share_of_an_instance_that_it_takes() -> None:
    idle, busy = (costs({"requests": 0.2, "cpu": cpu}, {"cpu": 0.0})[0] for cpu in (0.0, 3_600.0))
    # A core hour, of which the instance has 0.4 for each of its hours.
    assert busy["dollars"] - idle["dollars"] == pytest.approx(0.0208 / 0.4)
