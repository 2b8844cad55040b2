"""Hints: what people write instead of JMESPath becomes the JMESPath that they mean."""

from __future__ import annotations

import jmespath  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dlq.jmespath_hints import meant
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, send_with_own_ids

EVENT = {"name": "shop/order", "data": {"total": 150, "paid": True, "plan": "pro", "order-id": "a"}}


@pytest.mark.parametrize(
    ("written", "corrected"),
    [
        ("data.total > 100", "data.total > `100`"),
        ("data.total>=-1.5", "data.total>= `-1.5`"),
        ("data.paid == true", "data.paid == `true`"),
        ('data.plan == "pro"', "data.plan == 'pro'"),
        ("data.plan = 'pro'", "data.plan == 'pro'"),
        ("data.total = 150", "data.total == `150`"),
        ("data.total > 100 and data.plan == 'pro'", "data.total > `100` && data.plan == 'pro'"),
        ("not data.missing", "!(data.missing)"),
        ("data.order-id == 'a'", "data.\"order-id\" == 'a'"),
    ],
)
def test_a_usual_mistake_is_corrected_to_what_matches(written: str, corrected: str) -> None:
    assert meant(written) == corrected
    assert jmespath.search(corrected, EVENT) is True


@pytest.mark.parametrize(
    "right",
    [
        "data.total > `100`",
        "data.plan == 'pro and contra = 1'",
        "data.\"order-id\" == 'a'",
        "contains(name, 'order')",
        'data.plan == `"pro"`',
        "data.total == data.count",
    ],
)
def test_what_is_right_is_left_alone(right: str) -> None:
    assert meant(right) is None


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    corrected = meant(text)
    assert corrected is None or jmespath.compile(corrected)


async def test_an_expression_that_is_wrong_is_refused_with_the_right_one(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 1)
    ended = await relay("dlq", "list", "--where", "data.number = 0", *QUICK)
    assert ended.code == 2
    assert "did you mean: data.number == `0`" in ended.err


async def test_an_expression_that_never_matches_is_warned_about(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 1)
    ended = await relay("dlq", "list", "--where", 'name == "shop/order"', *QUICK)
    assert (ended.code, ended.out.count("own-0")) == (0, 0)
    assert "probably not what you mean: name == 'shop/order'" in ended.err
