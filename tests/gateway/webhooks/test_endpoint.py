"""Webhooks over real sockets: what is answered, what is published, what is logged."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx
import pytest

from relay.aws.errors import AwsError
from relay.gateway.app import Gateway
from relay.gateway.keys import FixedKeys, Key
from relay.gateway.webhooks.endpoint import OpenSource, Webhooks
from relay.gateway.webhooks.keys import REFRESH_EVERY, SourceKeys
from relay.gateway.webhooks.presets import PRESETS
from relay.gateway.webhooks.sources import read_sources
from relay.http.server import serving
from relay.model.event import Event
from relay.model.facts import EventsAccepted, EventsRefused, Fact
from relay.publishing.events import EventLimits
from relay.publishing.publisher import NotPublished
from tests.gateway.webhooks.senders import IDS, NAMES, NOW, SENDERS, TEXT_SECRET, Sender

SOURCES = {sender.name: {"secrets": [sender.secret]} for sender in SENDERS} | {
    "twilio": {"secrets": [TEXT_SECRET], "url": "https://hooks.example.com"},
    "stored": {"preset": "github", "secrets": ["ssm:hook"]},
}


class Queue:
    """Takes the place of the publisher: keeps what it was given, or fails as told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failure: Exception | None = None

    async def publish(self, events: Sequence[Event]) -> None:
        """Keep the events."""
        if self.failure is not None:
            raise self.failure
        self.events += events


class StoredSecret:
    """A secret in a store, which may be rotated or unreachable."""

    def __init__(self) -> None:
        self.stored = "old"
        self.cached = "old"
        self.look_ups = 0
        self.failure: AwsError | None = None

    async def value(self, *, fresh: bool = False) -> str:
        """The value, looked up if `fresh`."""
        if self.failure is not None:
            raise self.failure
        if fresh:
            self.look_ups += 1
            self.cached = self.stored
        return self.cached


class World:
    """A gateway on a socket with every known source."""

    def __init__(self, max_in_flight_bytes: int = 67_108_864) -> None:
        self.queue = Queue()
        self.secret = StoredSecret()
        self.clock = 0.0
        self.facts: list[Fact] = []
        self.client = httpx.AsyncClient()
        gateway = Gateway(
            self.queue,
            FixedKeys((("k3y", Key(name="web")),)),
            lambda: (True, {}),
            limits=EventLimits(max_event_bytes=10_000),
            max_request_bytes=20_000,
            max_in_flight_bytes=max_in_flight_bytes,
            observe=self.facts.append,
        )
        sources = {
            name: OpenSource(
                source,
                SourceKeys(
                    source.secrets,
                    source.signature.key,
                    lambda _reference: self.secret,
                    lambda: self.clock,
                ),
            )
            for name, source in read_sources(json.dumps(SOURCES), PRESETS).items()
        }
        webhooks = Webhooks(gateway, sources, now=lambda: NOW)
        self.gateway = gateway
        self.app = gateway.asgi(webhooks.routes())

    async def post(
        self, sender: Sender, body: bytes | None = None, *, to: str = "", **signing: Any
    ) -> httpx.Response:
        """Send a webhook as this sender does."""
        request = sender.request(body, **signing)
        query = request.url.partition("?")[2]
        return await self.send(to or sender.name, request.body, request.headers, query)

    async def send(
        self, source: str, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> httpx.Response:
        """Send anything."""
        url = f"{self.client.base_url}/webhooks/{source}" + (f"?{query}" if query else "")
        return await self.client.post(url, content=body, headers=dict(headers))

    @property
    def refused(self) -> list[tuple[str, str]]:
        """Who was refused, and with which code."""
        return [(f.key, f.code) for f in self.facts if isinstance(f, EventsRefused)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with serving(world.app) as port, world.client:
        world.client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        yield world


GITHUB = next(sender for sender in SENDERS if sender.name == "github")
SLACK = next(sender for sender in SENDERS if sender.name == "slack")


@pytest.mark.parametrize("sender", SENDERS, ids=[f"{n}-{s.name}" for n, s in enumerate(SENDERS)])
async def test_every_sender_is_answered_200_once_its_event_is_published(
    world: World, sender: Sender
) -> None:
    answer = await world.post(sender)
    assert answer.status_code == 200, answer.text
    [event] = world.queue.events
    assert answer.json()["ids"] == [event.id]
    if sender.body == next(s for s in SENDERS if s.name == sender.name).body:
        assert event.name == NAMES[sender.name]
        assert IDS[sender.name] in (event.id, None)


async def test_a_repeated_delivery_is_the_same_event(world: World) -> None:
    await world.post(GITHUB)
    await world.post(GITHUB)
    assert len({event.id for event in world.queue.events}) == 1


@pytest.mark.parametrize("sender", SENDERS, ids=[f"{n}-{s.name}" for n, s in enumerate(SENDERS)])
async def test_a_wrong_signature_is_answered_401_counted_and_logged(
    world: World, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    other = "whsec_AAAA" if sender.source.signature.key == "base64" else "another"
    with caplog.at_level(logging.WARNING):
        answer = await world.post(sender, secret=other)
    assert answer.status_code == 401
    assert answer.json()["code"] == "signature_wrong"
    assert world.queue.events == []
    assert world.refused == [(f"webhook:{sender.name}", "signature_wrong")]
    assert f"refused with 401, of the webhook source {sender.name}: " in caplog.text


async def test_a_webhook_without_signature_is_answered_401(world: World) -> None:
    answer = await world.send("github", b"{}", {})
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing")


async def test_an_unknown_source_is_answered_404(world: World) -> None:
    answer = await world.send("nobody", b"{}", {})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_source")


async def test_an_outage_of_the_queue_is_answered_503(world: World) -> None:
    world.queue.failure = NotPublished("no_answer", "SQS did not confirm all events in time")
    answer = await world.post(GITHUB)
    assert answer.status_code == 503
    assert answer.json()["error"]


@pytest.mark.parametrize("size", [10_000, 30_000])
async def test_a_webhook_that_is_too_large_is_answered_413(world: World, size: int) -> None:
    answer = await world.post(GITHUB, b'{"a":"' + b"x" * size + b'"}')
    assert answer.status_code == 413
    assert world.queue.events == []


async def test_slacks_challenge_is_answered_and_publishes_nothing(world: World) -> None:
    body = b'{"type":"url_verification","challenge":"3eZbrw1a"}'
    answer = await world.post(SLACK, body)
    assert (answer.status_code, answer.text) == (200, "3eZbrw1a")
    assert answer.headers["content-type"].startswith("text/plain")
    assert world.queue.events == []
    [fact] = world.facts
    assert isinstance(fact, EventsAccepted)
    assert (fact.events, fact.key) == (0, "webhook:slack")


async def test_an_unsigned_challenge_is_not_answered(world: World) -> None:
    body = b'{"type":"url_verification","challenge":"3eZbrw1a"}'
    answer = await world.post(SLACK, body, secret="another")
    assert (answer.status_code, "3eZ" in answer.text) == (401, False)


async def test_a_get_challenge_needs_the_token(world: World) -> None:
    url = f"{world.client.base_url}/webhooks/meta"
    query = {"hub.mode": "subscribe", "hub.challenge": "11", "hub.verify_token": TEXT_SECRET}
    right = await world.client.get(url, params=query)
    wrong = await world.client.get(url, params={**query, "hub.verify_token": "no"})
    other = await world.client.get(url, params={**query, "hub.mode": "else"})
    assert (right.status_code, right.text) == (200, "11")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "token_wrong")
    assert (other.status_code, other.json()["code"]) == (400, "no_challenge")


async def test_a_get_of_another_source_is_answered_405(world: World) -> None:
    answer = await world.client.get(f"{world.client.base_url}/webhooks/github")
    assert answer.status_code == 405


async def test_a_rotated_secret_is_looked_up_at_once(world: World) -> None:
    assert (await world.post(GITHUB, to="stored", secret="old")).status_code == 200
    world.secret.stored = "new"
    assert (await world.post(GITHUB, to="stored", secret="new")).status_code == 200


async def test_wrong_signatures_cause_few_look_ups(world: World) -> None:
    for _ in range(5):
        assert (await world.post(GITHUB, to="stored", secret="no")).status_code == 401
    assert world.secret.look_ups == 1
    world.clock += REFRESH_EVERY
    await world.post(GITHUB, to="stored", secret="no")
    assert world.secret.look_ups == 2


async def test_a_secret_that_cannot_be_looked_up_is_answered_503_and_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.secret.failure = AwsError("AccessDenied", "denied", "ssm:GetParameter is missing")
    for _ in range(3):
        answer = await world.post(GITHUB, to="stored", secret="old")
        assert (answer.status_code, answer.json()["code"]) == (503, "secret_unusable")
        assert "ssm" not in answer.text
    causes = [one for one in caplog.messages if "ssm:GetParameter is missing" in one]
    assert causes == [
        "the secret of the webhook source stored cannot be used: ssm:GetParameter is missing"
    ]


async def test_a_strange_host_header_is_no_reason_to_fail(world: World) -> None:
    request = GITHUB.request()
    answer = await world.send("github", request.body, {**request.headers, "host": "[::"})
    assert answer.status_code in (200, 400)
