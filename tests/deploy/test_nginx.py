"""The platform's nginx, with our files added, between sqsd and the relay."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from relay.local.inngest import Fault, Function, Rule
from tests.deploy.instance import Instance, instance
from tests.deploy.platform_nginx import PlatformNginx, nginx

pytestmark = pytest.mark.skipif(
    not nginx(), reason="nginx is not installed (Debian: apt-get install nginx-light)"
)

TIMEOUT = 40.0
SQSD_HEADERS = {
    "User-Agent": "aws-sqsd/3.0.4",
    "X-Aws-Sqsd-Msgid": "m-1",
    "X-Aws-Sqsd-Queue": "main",
}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - depends on another process
            await asyncio.sleep(0.05)


async def post(url: str, source: str = "127.0.0.1") -> int:
    """Post a message from this address. Returns the status."""
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, timeout=30) as client:
        event = {"name": "shop/order", "data": {}}
        answer = await client.post(f"{url}/", json=event, headers=SQSD_HEADERS)
        return answer.status_code


async def test_a_request_is_held_for_longer_than_the_platforms_default(tmp_path: Path) -> None:
    # All limits divided by 100: the platform's 60 s become 0.6, ours 9.6; the response takes 1.5.
    async with instance(tmp_path, speedup=100) as here:
        here.inngest.script.add(Rule(fault=Fault(delay=1.5), times=2))
        assert await post(here.nginx.url) == 200
        application = int(here.relay_url.rsplit(":", 1)[1])
        async with PlatformNginx(
            tmp_path / "default", application, ours=False, speedup=100
        ) as default:
            assert await post(default.url) == 504


async def test_attributes_of_any_name_and_size_and_a_full_message_pass(tmp_path: Path) -> None:
    large = "x" * 200_000
    names = {"my_app.order_id": "o-1", "other.one": "1", "and_another": "2", "large-one": large}
    async with (
        instance(tmp_path, RELAY_ID_ATTRIBUTE="my_app.order_id") as here,
        here.daemon(),
    ):
        await here.send({"name": "shop/full", "data": {"text": "y" * (1_048_576 - 100)}})
        await here.send({"name": "shop/order", "data": {}}, **names)
        await here.send("poison", **names)
        dead_letter = await here.dead_letter()
        await until(lambda: len(here.inngest.events) == 2)
    events = {event.name: event for event in here.inngest.events}
    # The id is in the attribute whose name has both characters that nginx drops by default.
    assert "o-1" in events["shop/order"].id
    assert len(bytes(events["shop/full"].data)) > 1_048_000
    # The dead letter is a copy of what arrived.
    copied = dead_letter["MessageAttributes"]
    assert {name: copied[name]["StringValue"] for name in names} == names


async def test_without_an_access_log_the_health_agent_still_has_its_own(tmp_path: Path) -> None:
    # As the hook 20-access-log.sh leaves the file.
    link = tmp_path / "nginx" / "access.log"
    link.parent.mkdir()
    link.symlink_to("/dev/null")
    async with instance(tmp_path) as here:
        assert await post(here.nginx.url) == 200
        await until(lambda: '"POST /' in here.nginx.logged("healthd.log"))
        assert here.nginx.logged() == ""
    assert link.is_symlink()


async def test_only_requests_from_this_instance_are_allowed(tmp_path: Path) -> None:
    async with instance(tmp_path) as here:
        assert await post(here.nginx.url, "127.0.0.1") == 200
        assert await post(here.nginx.url, "127.0.0.2") == 403


async def test_a_hundred_connections_are_held_at_once(tmp_path: Path) -> None:
    async with instance(tmp_path) as here:
        await here.inngest.down()
        for number in range(100):
            await here.send({"name": "shop/order", "data": {"n": number}})
        async with here.daemon(), httpx.AsyncClient() as client:
            async with asyncio.timeout(TIMEOUT):
                while await in_flight(client, here) < 100:  # noqa: ASYNC110 - only available by polling
                    await asyncio.sleep(0.05)
            await here.inngest.up()
            await until(lambda: here.remaining() == 0)
        ids = Counter(event.id for event in here.inngest.events)
        assert len(ids) == 100
        assert here.nginx.logged().count(" 200 ") >= 100


async def in_flight(client: httpx.AsyncClient, here: Instance) -> int:
    answer = await client.get(f"{here.relay_url}/ready")
    return int(answer.json()["in_flight"])


async def test_a_deployment_under_traffic_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path,
) -> None:
    ships = Function(name="ship", on="shop/order")
    async with instance(tmp_path, [ships]) as here:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic(here, 300))
            async with here.daemon() as before:
                await until(lambda: len(here.inngest.events) >= 60)
                # In the platform's order, with a daemon that waits for no response.
                before.kill()
                await here.nginx.stop()
                assert await here.relay.terminate() == 0
            await here.relay.start()
            await here.nginx.start()
            async with here.daemon():
                await until(lambda: len({e.id for e in here.inngest.events}) == 300)
                await until(lambda: here.remaining() == 0)
        assert not here.sqs.queues["dead"].messages()
        await here.inngest.settled()
        runs = Counter(run.event_id for run in here.inngest.runs)
        assert set(runs.values()) == {1}
        assert len(runs) == 300


async def traffic(here: Instance, count: int) -> None:
    for number in range(count):
        await here.send({"name": "shop/order", "data": {"n": number}})
        await asyncio.sleep(0.005)
