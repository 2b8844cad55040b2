"""Times and ages as operators write and read them."""

import pytest

from relay.dlq.filters import format_duration, parse_time
from tests.dlq.letters import DAY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 910.0),
        ("1.5m", 910.0),
        ("1970-01-01T00:10", 600.0),
        ("1970-01-01T01:10+01:00", 600.0),
    ],
)
def test_a_moment_is_a_time_or_an_age(text: str, expected: float) -> None:
    assert parse_time(text, 1_000.0) == expected


def test_a_span_is_told_in_its_largest_unit() -> None:
    assert [format_duration(s) for s in (12, 90, 7_200, 3.5 * DAY)] == [
        "12 s",
        "1.5 min",
        "2 h",
        "3.5 d",
    ]
