"""Arguments that a shell's empty or wrong variable makes."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Relay

LOCAL = {"RELAY_INNGEST_URL": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "address",
    ["http://user:s3cr3t@127.0.0.1:8000", "http://[::1", "ftp://localhost", "localhost:8000"],
)
async def test_status_takes_bare_addresses_and_repeats_no_password(
    relay: Relay, address: str
) -> None:
    ended = await relay("status", "--relay", address, **LOCAL)
    assert ended.code == 2
    assert "--relay takes an address such as" in ended.err
    assert "s3cr3t" not in ended.err + ended.out


@pytest.mark.parametrize("ident", ["", "  "])
async def test_trace_wants_an_id_with_something_in_it(relay: Relay, ident: str) -> None:
    ended = await relay("trace", ident, **LOCAL)
    assert ended.code == 2
    assert "the id is empty" in ended.err


async def test_trace_can_look_back_further_than_calendars_go(relay: Relay) -> None:
    ended = await relay("trace", "order-1", "--since", "99999999999d", **LOCAL)
    assert ended.code == 1
    assert ended.out == "Nothing is known about order-1.\n"
