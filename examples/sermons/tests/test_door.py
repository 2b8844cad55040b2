"""The door in front of a real server."""

from __future__ import annotations

import httpx
import pytest

from relay.local.inngest import InngestServer
from sermons.story.door import Door

EVENT = {"name": "a/b", "id": "1"}


async def test_a_shut_door_refuses_and_an_open_one_passes_on_at_the_same_address() -> None:
    async with InngestServer() as server, Door(server.url) as door:
        address = f"{door.url}/e/key"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.post(address, json=EVENT)).json()["status"] == 200
            await door.down()
            with pytest.raises(httpx.TransportError):
                await client.post(address, json=EVENT)
            await door.up()
            assert (await client.post(address, json=EVENT)).json()["status"] == 200
        assert len(server.events) == 2


async def test_a_server_that_is_gone_ends_the_connection() -> None:
    async with InngestServer() as server, Door(server.url) as door:
        await server.down()
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"{door.url}/health")


@pytest.mark.parametrize("target", ["https://inngest.example", "8288", "", "http://"])
def test_an_address_that_no_door_can_lead_to_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="is not the http address"):
        Door(target)
