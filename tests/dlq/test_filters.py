"""Filters: which letters an operator means."""

from typing import Any

import pytest

from relay.dlq.filters import Filter
from relay.model.origin import Origin
from tests.dlq.letters import dead_letter

NOTED = dead_letter(
    '{"name":"shop/order","id":"own","data":{"total":7,"tags":["a"]}}',
    Origin(id="base", hops=2, source="main", code="fails_alone", sent_at=50.0),
)


@pytest.mark.parametrize(
    "meant",
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
def test_a_letter_passes_a_filter(meant: dict[str, Any]) -> None:
    assert Filter(**meant).matches(NOTED)


@pytest.mark.parametrize(
    "meant",
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
def test_a_letter_does_not_pass_a_filter(meant: dict[str, Any]) -> None:
    assert not Filter(**meant).matches(NOTED)


def test_a_filter_with_a_wrong_path_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no JMESPath"):
        Filter(where="data..x")
