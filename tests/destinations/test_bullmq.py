"""BullMQ: an unreachable Redis, and the warnings about Redis settings."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

import pytest

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


async def sent(url: str, event: Event = EVENT) -> Outcome:
    async with AsyncExitStack() as stack:
        variables = {"RELAY_BULLMQ_URL": url, "RELAY_BULLMQ_QUEUE": "orders"}
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
    async with RedisServer(*options) as redis:
        with caplog.at_level(logging.WARNING):
            assert isinstance(await sent(f"redis://127.0.0.1:{redis.port}/0"), Delivered)
    assert "maxmemory-policy allkeys-lru" in caplog.text
    assert "no append-only file" in caplog.text


async def test_a_number_that_json_cannot_represent_is_rejected() -> None:
    async with RedisServer() as redis:
        event = Event(id="e-1", name="order/placed", data=b'{"n": 1e999}')
        outcome = await sent(f"redis://127.0.0.1:{redis.port}/0", event)
    assert isinstance(outcome, Reject)
