"""Secrets in Secrets Manager: looked up when first needed and again after a change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest

from relay.app.destinations import open_single_event_destination
from relay.app.destinations.inngest import open_inngest
from relay.aws.session import SharedSession
from relay.local.orchestrators.apis import missing_dependency
from relay.local.orchestrators.bullmq import RedisServer
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered
from relay.settings.loading import load
from tests.destinations.wire import http, listening

EVENT = Event(id="e-1", name="order/placed", data=b"{}")
REGION = "us-east-1"


@pytest.fixture
def secrets(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto)
    client = boto3.client("secretsmanager", REGION, endpoint_url=moto)
    yield client
    client.close()


@pytest.fixture
def unreachable_store(secrets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret store that cannot be reached."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")


@pytest.mark.usefixtures("unreachable_store")
async def test_an_unavailable_secret_store_is_an_outage_and_no_halt() -> None:
    hook = load({"RELAY_DESTINATION": "webhook", "RELAY_WEBHOOK_URL_SECRET": "prod/hook"})
    inngest = load({"RELAY_INNGEST_EVENT_KEY_SECRET": "prod/key", "RELAY_CONFIRM": "off"})
    async with AsyncExitStack() as stack:
        opening = open_single_event_destination(
            "webhook", hook.settings, SharedSession(stack), print, print
        )
        first, _ = await stack.enter_async_context(opening)
        second = await stack.enter_async_context(open_inngest(inngest.settings, print))
        for destination in (first, second.destination):
            with pytest.raises(Unavailable, match="cannot be looked up") as caught:
                await destination.send([EVENT])
            assert (caught.value.setting, caught.value.not_accepted) == (None, True)


async def test_a_missing_url_secret_halts_and_a_changed_one_is_used(
    secrets: Any,
) -> None:
    loaded = load(
        {
            "RELAY_DESTINATION": "webhook",
            "RELAY_WEBHOOK_URL_SECRET": "prod/hook",
            "RELAY_WEBHOOK_ALLOW_PRIVATE": "true",
        }
    )
    assert loaded.errors == ()
    registered: list[str] = []
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(listening(http(200)))
        second = await stack.enter_async_context(listening(http(200)))
        opening = open_single_event_destination(
            "webhook", loaded.settings, SharedSession(stack), print, registered.append
        )
        destination, refresh = await stack.enter_async_context(opening)
        with pytest.raises(Unavailable) as caught:
            await destination.send([EVENT])
        assert caught.value.setting == "RELAY_WEBHOOK_URL_SECRET"
        assert caught.value.not_accepted

        secrets.create_secret(Name="prod/hook", SecretString=f"{first.url}/hook/one")
        assert await destination.send([EVENT]) == [Delivered()]
        secrets.put_secret_value(SecretId="prod/hook", SecretString=f"{second.url}/hook/two")
        await refresh()
        assert await destination.send([EVENT]) == [Delivered()]
    assert {f"{first.url}/hook/one", f"{second.url}/hook/two"} <= set(registered)
    assert [line for line, _, _ in (*first.requests, *second.requests)] == [
        "POST /hook/one HTTP/1.1",
        "POST /hook/two HTTP/1.1",
    ]


async def test_a_webhooks_keys_and_headers_are_looked_up_and_a_changed_one_is_used(
    secrets: Any,
) -> None:
    names = {"SIGNING_KEY": "whsec_MQ==", "SIGNING_KEY_OLD": "whsec_Mg==", "HEADERS": "x-key: 7"}
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(listening(http(200)))
        loaded = load(
            {
                "RELAY_DESTINATION": "webhook",
                "RELAY_WEBHOOK_URL": receiver.url,
                "RELAY_WEBHOOK_ALLOW_PRIVATE": "true",
                **{f"RELAY_WEBHOOK_{name}_SECRET": f"hook/{name}" for name in names},
            }
        )
        assert loaded.problems == ()
        for name, value in names.items():
            secrets.create_secret(Name=f"hook/{name}", SecretString=value)
        opening = open_single_event_destination(
            "webhook", loaded.settings, SharedSession(stack), print
        )
        destination, refresh = await stack.enter_async_context(opening)
        assert await destination.send([EVENT]) == [Delivered()]
        secrets.put_secret_value(SecretId="hook/HEADERS", SecretString="x-key: 8")
        await refresh()
        assert await destination.send([EVENT]) == [Delivered()]
        secrets.put_secret_value(SecretId="hook/SIGNING_KEY", SecretString="not base64!")
        await refresh()
        with pytest.raises(Unavailable, match="not base64") as caught:
            await destination.send([EVENT])
        assert caught.value.setting == "RELAY_WEBHOOK_SIGNING_KEY_SECRET"
    headers = [headers for _, headers, _ in receiver.requests]
    assert [found["x-key"] for found in headers] == ["7", "8"]
    assert [found["webhook-signature"].count("v1,") for found in headers] == [2, 2]


@pytest.mark.skipif(missing_dependency("bullmq") is not None, reason="no Redis, or no bullmq")
async def test_the_url_of_redis_is_looked_up_and_a_changed_one_is_used(secrets: Any) -> None:
    loaded = load(
        {
            "RELAY_DESTINATION": "bullmq",
            "RELAY_BULLMQ_QUEUE": "orders",
            "RELAY_BULLMQ_URL_SECRET": "prod/redis",
        }
    )
    assert loaded.problems == ()
    registered: list[str] = []
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        opening = open_single_event_destination(
            "bullmq", loaded.settings, SharedSession(stack), print, registered.append
        )
        destination, refresh = await stack.enter_async_context(opening)
        secrets.create_secret(Name="prod/redis", SecretString="redis.example.com")
        with pytest.raises(Unavailable, match="not the address of a Redis server") as caught:
            await destination.send([EVENT])
        assert caught.value.setting == "RELAY_BULLMQ_URL_SECRET"
        assert caught.value.not_accepted

        for database in (0, 1):
            url = f"redis://127.0.0.1:{redis.port}/{database}"
            secrets.put_secret_value(SecretId="prod/redis", SecretString=url)
            await refresh()
            (outcome,) = await destination.send([EVENT])
            assert isinstance(outcome, Delivered)
            assert url in registered
