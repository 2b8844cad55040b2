"""Filters, and times and ages as operators write and read them."""

from typing import Any

import pytest

from relay.dlq.filters import Filter, parse_time
from relay.model.origin import Origin
from relay.output.times import format_duration
from tests.dlq.queues import DAY, dead_letter

DEAD_LETTER = dead_letter(
    '{"name":"shop/order","id":"own","data":{"total":7,"tags":["a"]}}',
    Origin(id="base", hops=2, source="main", code="fails_alone", sent_at=50.0),
)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"names": ("shop/*",)},
        {"names": ("other", "shop/order")},
        {"codes": ("fails_*",)},
        {"ids": ("own",)},
        {"ids": ("base",)},
        {"ids": ("m-1",)},
        {"sources": ("ma?n",)},
        {"since": 50.0, "until": 50.1},
        {"attributes": (("Relay-Origin", "*fails_alone*"),)},
        {"where": "data.total > `6` && contains(data.tags, 'a')"},
        {"where": "data.total"},
        {"names": ("shop/*",), "codes": ("fails_alone",)},
    ],
)
def test_a_dead_letter_matches_a_filter(fields: dict[str, Any]) -> None:
    assert Filter(**fields).matches(DEAD_LETTER)


@pytest.mark.parametrize(
    "fields",
    [
        {"names": ("order",)},
        {"codes": ("moved_by_sqs",)},
        {"ids": ("m-2",)},
        {"sources": ("second",)},
        {"since": 50.1},
        {"until": 50.0},
        {"attributes": (("absent", "*"),)},
        {"where": "data.total > `7`"},
        {"where": "data.absent"},
        {"where": "abs(data.tags)"},
        {"names": ("shop/*",), "codes": ("other",)},
    ],
)
def test_a_dead_letter_does_not_match_a_filter(fields: dict[str, Any]) -> None:
    assert not Filter(**fields).matches(DEAD_LETTER)


def test_a_filter_with_an_invalid_jmespath_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not a JMESPath expression"):
        Filter(where="data..x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 910.0),
        ("1.5m", 910.0),
        ("1970-01-01T00:10", 600.0),
        ("1970-01-01T01:10+01:00", 600.0),
    ],
)
def test_a_time_is_a_date_or_an_age(text: str, expected: float) -> None:
    assert parse_time(text, 1_000.0) == expected


def test_a_duration_is_formatted_in_its_largest_unit() -> None:
    assert [format_duration(s) for s in (12, 90, 7_200, 3.5 * DAY)] == [
        "12 s",
        "1.5 min",
        "2 h",
        "3.5 d",
    ]
