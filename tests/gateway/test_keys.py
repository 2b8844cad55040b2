"""The gateway's event keys: who may send, which events, how many and how much."""

from __future__ import annotations

import json

import pytest

from relay.gateway.keys import Key
from tests.gateway.running import KEY, running_gateway

EVENT = {"name": "shop/order.created", "data": {"n": 1}}


@pytest.mark.parametrize("path", ["/e/", "/e", "//e/"])
async def test_a_request_without_a_key_is_401_with_what_to_do(path: str) -> None:
    async with running_gateway() as gateway:
        answer = await gateway.http.post(f"{gateway.url}{path}", content=json.dumps(EVENT))
        assert answer.status_code == answer.json()["status"] == 401
        assert "INNGEST_EVENT_KEY" in answer.json()["error"]


@pytest.mark.parametrize("key", ["x", f"{KEY}x", "%00", "a%2Fb", "\u00fc"])
async def test_an_unknown_key_is_401_and_its_body_is_not_looked_at(key: str) -> None:
    async with running_gateway() as gateway:
        answer = await gateway.post("nonsense", key=key)
        assert answer.status_code in (401, 404)
        assert answer.json()["status"] == answer.status_code
        assert key not in answer.json()["error"] or len(key) == 1
        assert gateway.messages == []


async def test_a_key_sends_only_the_events_that_it_may_send() -> None:
    keys = (("k1", Key(name="shop", events=("shop/*", "user/signup"))),)
    async with running_gateway(keys=keys) as gateway:
        refused = await gateway.post([EVENT, {"name": "billing/x"}], key="k1")
        assert refused.status_code == 403
        assert refused.json()["code"] == "event_not_allowed"
        assert "event 2" in refused.json()["error"]
        assert gateway.messages == []
        assert (await gateway.post([EVENT, {"name": "user/signup"}], key="k1")).status_code == 200


async def test_a_key_above_its_rate_is_answered_503_until_it_is_within_it_again() -> None:
    now = [0.0]
    keys = (("k1", Key(name="shop", rate=10.0)), ("k2", Key(name="other")))
    async with running_gateway(keys=keys, clock=lambda: now[0]) as gateway:
        assert (await gateway.post([EVENT] * 20, key="k1")).status_code == 200
        refused = await gateway.post(EVENT, key="k1")
        assert (refused.status_code, refused.json()["code"]) == (503, "rate_limited")
        assert (await gateway.post(EVENT, key="k2")).status_code == 200
        now[0] += 1.1
        assert (await gateway.post(EVENT, key="k1")).status_code == 200


async def test_a_key_has_its_own_limit_of_size() -> None:
    keys = (("k1", Key(name="small", max_request_bytes=100)),)
    async with running_gateway(keys=keys) as gateway:
        assert (await gateway.post(EVENT, key="k1")).status_code == 200
        answer = await gateway.post({"name": "a", "data": {"x": "x" * 100}}, key="k1")
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
