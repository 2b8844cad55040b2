"""BullMQ: an unreachable Redis, and the warnings about Redis settings."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from relay.local.orchestrators.apis import missing_dependency
from relay.local.orchestrators.bullmq import RedisServer
from relay.local.processes import free_port
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from tests.destinations.conformance.setups import opened

pytestmark = pytest.mark.skipif(
    missing_dependency("bullmq") is not None, reason=str(missing_dependency("bullmq"))
)

EVENT = Event(id="e-1", name="order/placed", data=b"{}")


async def sent(url: str, event: Event = EVENT, **more: str) -> Outcome:
    async with AsyncExitStack() as stack:
        variables = {"RELAY_BULLMQ_URL": url, "RELAY_BULLMQ_QUEUE": "orders", **more}
        destination, _ = await opened(stack, "bullmq", variables)
        (outcome,) = await destination.send([event])
        return outcome


@pytest.mark.parametrize(
    ("url", "message", "setting"),
    [
        ("redis://127.0.0.1:{port}/0", "refuses connections", None),
        ("redis://nowhere.invalid:6379/0", "does not resolve", "RELAY_BULLMQ_URL"),
        ("unix:///nowhere/redis.sock", "cannot be reached", None),
    ],
    ids=["closed port", "unknown name", "missing socket"],
)
async def test_an_unreachable_redis_has_accepted_nothing(
    url: str, message: str, setting: str | None
) -> None:
    with pytest.raises(Unavailable, match=message) as caught:
        await sent(url.format(port=free_port()))
    assert caught.value.proven
    assert caught.value.not_accepted
    assert caught.value.setting == setting


async def test_a_redis_that_can_lose_jobs_causes_warnings(caplog: pytest.LogCaptureFixture) -> None:
    options = ("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    events = [replace(EVENT, id=f"e-{number}") for number in range(20)]
    async with RedisServer(*options) as redis, AsyncExitStack() as stack:
        variables = {
            "RELAY_BULLMQ_URL": f"redis://127.0.0.1:{redis.port}/0",
            "RELAY_BULLMQ_QUEUE": "orders",
        }
        destination, _ = await opened(stack, "bullmq", variables)
        with caplog.at_level(logging.WARNING):
            await destination.send(events)
    assert caplog.text.count("maxmemory-policy allkeys-lru") == 1
    assert caplog.text.count("no append-only file") == 1


async def test_a_number_that_json_cannot_represent_is_rejected() -> None:
    async with RedisServer() as redis:
        event = Event(id="e-1", name="order/placed", data=b'{"n": 1e999}')
        outcome = await sent(f"redis://127.0.0.1:{redis.port}/0", event)
    assert isinstance(outcome, Reject)


URL, PREFIX = "RELAY_BULLMQ_URL", "RELAY_BULLMQ_PREFIX"
PRIMARY_DOWN = ("--replicaof", "127.0.0.1 1")
CLUSTER = ("--cluster-enabled", "yes", "--cluster-port", "{free}")
ALL_SLOTS = ("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
USER = ("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all")


@dataclass(frozen=True, kw_only=True)
class State:
    """A Redis that refuses jobs, and why; `setting` is what the relay names."""

    message: str
    options: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    place: str = "redis://127.0.0.1:{port}/0"
    setting: str | None = None


STATES = {
    "password missing": State(message="password", options=("--requirepass", "p"), setting=URL),
    "password wrong": State(
        message="password",
        options=("--requirepass", "p"),
        place="redis://:x@127.0.0.1:{port}/0",
        setting=URL,
    ),
    "scripts forbidden": State(
        message="no permissions",
        commands=((*USER, "-@scripting"),),
        place="redis://u:p@127.0.0.1:{port}/0",
        setting=URL,
    ),
    "info forbidden": State(
        message="no permissions",
        commands=((*USER, "-info"),),
        place="redis://u:p@127.0.0.1:{port}/0",
        setting=URL,
    ),
    "database missing": State(
        message="does not have", place="redis://127.0.0.1:{port}/99", setting=URL
    ),
    "replica": State(message="read only replica", options=PRIMARY_DOWN),
    "stale replica": State(
        message="MASTER is down", options=(*PRIMARY_DOWN, "--replica-serve-stale-data", "no")
    ),
    "replicas too few": State(message="NOREPLICAS", options=("--min-replicas-to-write", "1")),
    "memory full": State(message="maxmemory", options=("--maxmemory", "1")),
    "cluster down": State(message="not served", options=CLUSTER),
    "cluster, prefix without braces": State(
        message="same slot", options=CLUSTER, commands=(ALL_SLOTS,), setting=PREFIX
    ),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
async def test_a_redis_that_refuses_jobs_says_why(state: State) -> None:
    async with redis_with(state.options) as server:
        await commanded(server.port, *state.commands)
        with pytest.raises(Unavailable, match=state.message) as caught:
            await sent(state.place.format(port=server.port))
    assert caught.value.setting == state.setting
    assert caught.value.proven
    assert caught.value.not_accepted


def redis_with(options: tuple[str, ...]) -> RedisServer:
    return RedisServer(*(option.format(free=free_port()) for option in options))


async def commanded(port: int, *commands: tuple[str, ...]) -> None:
    # By name, because a checker may look at this where the extra is not installed.
    redis: Any = importlib.import_module("redis.asyncio")
    async with redis.Redis(port=port) as client:
        for one in commands:
            await client.execute_command(*one)


async def test_a_cluster_takes_jobs_under_a_prefix_in_braces() -> None:
    async with redis_with(CLUSTER) as server:
        await commanded(server.port, ALL_SLOTS)
        place = f"redis://127.0.0.1:{server.port}/0"
        outcome = None
        for _ in range(1_000):  # the node is down until it has seen that it has all slots
            with contextlib.suppress(Unavailable):
                outcome = await sent(place, RELAY_BULLMQ_PREFIX="{bull}")
                break
        assert isinstance(outcome, Delivered)


async def test_a_redis_that_runs_a_script_for_too_long_takes_jobs_afterwards() -> None:
    async with RedisServer("--busy-reply-threshold", "1") as server:
        place = f"redis://127.0.0.1:{server.port}/0"
        endless = asyncio.ensure_future(commanded(server.port, ("EVAL", "while true do end", "0")))
        while not await _busy(server.port):
            pass
        with pytest.raises(Unavailable, match="BUSY") as caught:
            await sent(place)
        assert caught.value.proven
        await commanded(server.port, ("SCRIPT", "KILL"))
        await asyncio.wait({endless})
        assert endless.exception() is not None
        assert isinstance(await sent(place), Delivered)


async def _busy(port: int) -> bool:
    errors: Any = importlib.import_module("redis.exceptions")
    try:
        await commanded(port, ("PING",))
    except errors.ResponseError:
        return True
    return False
