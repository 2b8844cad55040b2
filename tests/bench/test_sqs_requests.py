"""The SQS requests of a setting are counted, and their price follows from the count."""

from __future__ import annotations

import pytest

from bench.sqs_requests import Case, row_by_setting


async def test_a_backlog_is_received_and_deleted_ten_at_a_time() -> None:
    row = await row_by_setting(Case(name="a backlog"), 300)
    receives, deletes, visibility, million, dollars = map(
        float, (w.replace(",", "") for w in row[1:])
    )
    assert 0.1 <= receives <= 0.15
    assert 0.1 <= deletes <= 0.15
    assert visibility == 0
    assert million == pytest.approx((receives + deletes) * 1e6, abs=1_000)
    assert dollars == pytest.approx(million * 0.40 / 1e6, abs=0.001)
