"""Every view of the console with a generated snapshot; a large one if CONSOLE_MESSAGES says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.console.page_times import WAITING, measure

MESSAGES = os.environ.get("CONSOLE_MESSAGES")
"""How many, such as 100000. Only then the processor seconds of each view are checked."""

MOST = 1.0
"""Processor seconds of a view. A page that waits for something has that in it as well."""


@pytest.mark.timeout(3_600 if MESSAGES else 180)
async def test_no_view_fails_or_takes_longer_than_a_second(tmp_path: Path) -> None:
    costs = await measure(int(MESSAGES or 400), 50, 60, tmp_path, lambda _: None)
    views = {cost.view for cost in costs}
    assert {"dead letters by shape", "redrive of an hour, plan", "run, killed, of all"} <= views
    unknown = {"dead letter, unknown"}
    assert [str(one) for one in costs if one.status >= 400 and one.view not in unknown] == []
    finished = [one for one in costs if not one.view.endswith(WAITING)]
    assert not MESSAGES or [str(one) for one in finished if one.cpu > MOST] == []
