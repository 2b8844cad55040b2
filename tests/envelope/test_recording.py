"""Events that a real Inngest server accepted or refused are accepted or rejected here as well."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from relay.envelope import Decoded, Rules, decode
from relay.model.message import Message
from relay.model.outcome import Reject

RECORDING = Path(__file__).parents[1] / "recordings" / "inngest-1.43.jsonl"
LINES = [json.loads(line) for line in RECORDING.read_text("utf-8").rstrip("\n").split("\n")]

STRICTER = {
    "name of 257 characters": "name_too_long",  # Inngest Cloud documents 256
    "data 100 levels deep": "too_deep",  # 101 with the event's own object
    "data given twice": "duplicate_key",  # the server merges them
    "data in two spellings": "duplicate_key",
    "ts whose nanoseconds overflow to 2026: accepted": "ts_out_of_range",
}
"""What the relay rejects on purpose although the server accepts it."""


def event_posts() -> list[tuple[str, str, int]]:
    """What was sent, its description and the status of the answer."""
    found = []
    for line in LINES:
        asked: dict[str, Any] = line["request"]
        if line["group"] in ("events.accept", "events.field") and asked["body"]:
            found.append((line["about"], asked["body"], line["response"]["status"]))
    return found


@pytest.mark.parametrize(("about", "body", "status"), event_posts())
def test_the_verdict_is_the_servers(
    about: str, body: str, status: int, pulled: Callable[..., Message]
) -> None:
    found = decode(pulled(body.encode()), Rules())
    if about in STRICTER:
        assert isinstance(found, Reject)
        assert (found.code, status) == (STRICTER[about], HTTPStatus.OK)
    else:
        assert isinstance(found, Decoded) == (status == HTTPStatus.OK), found


def test_what_was_stored_of_fields_in_another_case_is_what_the_relay_sends(
    pulled: Callable[..., Message],
) -> None:
    at = next(i for i, line in enumerate(LINES) if line["about"] == "field names in upper case")
    found = decode(pulled(LINES[at]["request"]["body"].encode()), Rules())
    assert isinstance(found, Decoded)
    sent, stored = json.loads(found.events[0].wire), LINES[at + 1]["response"]["body"]["data"]
    assert sent == {name: stored[name] for name in ("id", "name", "data", "ts")}
