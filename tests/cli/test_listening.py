"""An address that nobody can listen on ends `relay serve` and `relay poll` with a sentence."""

from __future__ import annotations

import socket

import pytest

from tests.cli.conftest import Place, Relay

KEY = {"RELAY_INNGEST_EVENT_KEY": "k", "RELAY_METRICS": "none"}


@pytest.mark.parametrize("command", ["serve", "poll"])
async def test_a_port_that_somebody_has_is_told_with_what_to_set(
    command: str, process: Relay, place: Place
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = str(somebody.getsockname()[1])
        ended = await process(command, RELAY_QUEUE_URL="plain", PORT=port, **KEY)
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith(f"relay: cannot listen on 127.0.0.1:{port}: Address already in use: set")
    assert "Traceback" not in ended.err


async def test_a_host_without_an_address_is_told(process: Relay, place: Place) -> None:
    ended = await process("serve", RELAY_HOST="no such host", **KEY)
    assert ended.code == 1
    assert "relay: cannot listen on no such host:8000: " in ended.err
