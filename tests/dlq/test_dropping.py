"""What `relay dlq drop` asks of a person, and what it does not."""

from __future__ import annotations

import pytest

from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted


async def test_no_name_has_to_be_typed_where_nothing_would_go(relay: Relay, place: Place) -> None:
    await place.send("dead", event(), attributes=noted("id-1"))
    ended = await relay("dlq", "drop", "--name", "nobody/*", *QUICK, stdin="")
    assert ended.code == 0
    assert "Type dead" not in ended.err
    assert ended.err.endswith("relay: nothing passes the filters: nothing was dropped\n")
    assert place.visible("dead") == 1


@pytest.mark.parametrize("option", ["--since", "--until"])
async def test_a_time_that_is_none_is_told_with_its_option(relay: Relay, option: str) -> None:
    ended = await relay("dlq", "list", option, "yesterday")
    assert ended.code == 2
    assert ended.err.startswith(f"relay: {option}: 'yesterday' is neither a time")
