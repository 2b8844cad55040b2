"""What the Python SDK makes of the answers of what stands in front of a gateway.

It looks at the body only: a JSON object without `error` is a success, whatever the status is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.destinations.wire import http
from tests.gateway.test_sdks import AT_ONCE, NO_IDS, TRIED, answer, command, outcome

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"
THROTTLED = {"Reason": "ConcurrentInvocationLimitExceeded", "message": "Rate Exceeded."}


def html(status: int) -> bytes:
    return http(status, f"<html><h1>{status}</h1></html>", content_type="text/html")


ANSWERS: dict[str, tuple[bytes, str]] = {
    "an Application Load Balancer: 502, 503 or 504, HTML": (html(503), TRIED),
    "AWS WAF: 403, HTML": (html(403), AT_ONCE),
    "a fixed or custom response in JSON without `error`": (
        answer(503, {"message": "maintenance"}),
        NO_IDS,
    ),
    "the same with `error`": (answer(503, {"error": "maintenance", "status": 503}), TRIED),
    'API Gateway: 503 or 504 with `{"message": …}`': (
        answer(504, {"message": "Endpoint request timed out"}),
        NO_IDS,
    ),
    'API Gateway: 429 with `{"message": …}`': (
        answer(429, {"message": "Too Many Requests"}),
        NO_IDS,
    ),
    "Lambda: a throttled function, 429 in JSON": (answer(429, THROTTLED), NO_IDS),
    "Lambda: a function that failed, 502, text": (
        http(502, "Internal Server Error", content_type="text/plain"),
        TRIED,
    ),
    "the same in JSON": (answer(502, {"Message": None}), NO_IDS),
}


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", list(ANSWERS))
async def test_the_python_sdk_makes_of_it_what_the_documentation_says(name: str) -> None:
    command("python")
    reply, expected = ANSWERS[name]
    made, _ = await outcome("python", reply)
    assert made == expected


def test_the_table_in_the_documentation_is_the_one_above() -> None:
    table: Any = PAGE.read_text(encoding="utf-8").split("<!-- in front -->\n")[1]
    rows = [f"| {name} | {expected} |" for name, (_, expected) in ANSWERS.items()]
    head = ["| answer of | the Python SDK |", "|---|---|"]
    assert table.split("<!-- /in front -->")[0].strip().splitlines() == head + rows
