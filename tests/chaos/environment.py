"""The environment of a chaos run: a relay process and all servers, on the accelerated clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import aiohttp

from relay.local.demo.samples import SampleMessage
from relay.local.inngest import Function, InngestServer, Lags
from relay.local.processes import free_port
from relay.local.sqs import SqsServer, Stored
from relay.local.sqs.queue import Queue
from relay.local.sqsd import Sqsd, SqsdOptions
from relay.settings.clocks import DLQ_RETENTION, MAX_RECEIVE_COUNT, QUEUE_RETENTION
from tests.chaos import lambda_host
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.dynamodb import DynamoDb
from tests.chaos.findings import Allowed
from tests.chaos.lambda_host import LambdaRelay, event_source
from tests.chaos.object_store import ObjectStore
from tests.chaos.processes import ForkServer, Relay
from tests.chaos.proxy import Proxy
from tests.chaos.publisher import Publisher, SqsClient

Mode: TypeAlias = Literal["push", "pull", "fifo", "lambda", "lambda-fifo"]
MODES: tuple[Mode, ...] = ("push", "pull", "fifo", "lambda", "lambda-fifo")
FIFO: tuple[Mode, ...] = ("fifo", "lambda-fifo")
LAMBDA: tuple[Mode, ...] = ("lambda", "lambda-fifo")
SPEED = 25.0
REGION = "us-east-1"

FUNCTIONS = (
    Function(name="transcribe", on="demo/one"),
    Function(name="transcode", on="demo/three"),
    Function(name="embed", on="demo/three"),
    Function(name="notify", on="demo/three"),
    Function(name="index", on="s3/*"),
    Function(name="digest", on="demo/*", batched=True),
)
"""No, one and three functions per event name, and a batched one, which ignores ids."""

CLOCKS = {
    "RELAY_HOLD": "100",
    "RELAY_REQUEST_TIMEOUT": "20",
    "RELAY_CONFIRM_DEADLINE": "15",
    "RELAY_DRAIN_DEADLINE": "10",
}
DAEMON = SqsdOptions(
    inactivity_timeout=140,
    visibility_timeout=150,
    error_visibility_timeout=15,
    retention_period=1_209_600,
    drain_timeout=5,
)
"""Timeouts of minutes become tens of seconds here, and seconds with `SPEED`."""

VISIBILITY = 60


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """The retention of the main queue in seconds, and the MaximumMessageSize of the other one."""

    retention: float = QUEUE_RETENTION
    largest_dead_letter: int = 1_048_576


@dataclass
class Environment:
    """What is running. Times and durations are those of `clock`."""

    mode: Mode
    clock: AcceleratedClock
    sqs: SqsServer
    inngest: InngestServer
    relay: Relay | LambdaRelay
    proxies: dict[str, Proxy]
    publisher: Publisher
    main: Queue
    dead: Queue
    client: SqsClient
    ledger: DynamoDb
    store: ObjectStore
    options: SqsdOptions = DAEMON
    rules: Allowed = field(default_factory=Allowed)
    allowed: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    _daemon: contextlib.AsyncExitStack | None = None
    _sqsd: Sqsd | None = None

    @property
    def queue_url(self) -> str:
        return self.sqs.account.url_of(self.main)

    async def publish(self, *script: SampleMessage) -> None:
        """Send these messages and add them to the publisher's record."""
        await self.publisher.publish(script)

    def allow_dead_letter(self, stored: Stored, code: str) -> None:
        """Allow the events of this message to be dead-lettered with this code."""
        self.allowed[stored.message_id] = code

    @property
    def allows(self) -> Allowed:
        """What the run allows."""
        # Resolved at the end: a message is in the queue before it is in the publisher's record.
        messages = self.publisher.record.messages
        codes = {
            event_id: {code}
            for message_id, code in self.allowed.items()
            for event_id in messages.get(message_id, ())
        }
        return replace(self.rules, codes=codes)

    async def start_daemon(self) -> None:
        """Start sqsd or Lambda's event source, where there is one that is not running."""
        if self.mode in ("pull", "fifo") or self._daemon is not None:
            return
        self._daemon = contextlib.AsyncExitStack()
        if isinstance(self.relay, LambdaRelay):
            source = event_source(self.relay, self.queue_url, self.sqs.url, REGION)
            await self._daemon.enter_async_context(source)
            return
        self._sqsd = Sqsd(
            self.queue_url,
            self.proxies["sqsd"].url,
            self.options,
            endpoint_url=self.sqs.url,
            region=REGION,
            clock=self.clock,
        )
        await self._daemon.enter_async_context(self._sqsd)

    async def stop_daemon(self, *, kill: bool = False) -> None:
        """Stop sqsd: it drains, or stops as with SIGKILL. An event source always does."""
        if self._daemon is not None:
            if kill and self._sqsd is not None:
                self._sqsd.kill()
            stack, self._daemon = self._daemon, None
            await stack.aclose()

    async def until(self, condition: Callable[[], object], within: float) -> None:
        """Return when the condition holds.

        Raises:
            TimeoutError: it did not within this many accelerated seconds.
        """
        async with self.clock.timeout(within):
            while not condition():  # noqa: ASYNC110 - it depends on other processes
                await asyncio.sleep(0.01)

    def state(self) -> str:
        """A summary for the log of a run that is stuck."""
        messages = [(one.state, one.receive_count) for one in self.main.messages()]
        return (
            f"relay {'up' if self.relay.running else 'down'}, {len(self.ledger.items)} ledger"
            f" entries, queue {messages}, responses {dict(self.inngest.answers)}"
        )

    async def settled(self, within: float = 3_000.0) -> None:
        """Return when the main queue is empty and every accepted event has run."""
        await self.until(lambda: not self.main.messages(), within)
        await self.inngest.settled()

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """The status and body of the relay's `GET /ready`."""
        url = f"http://127.0.0.1:{self.relay.port}/ready"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status, await answer.json()


Disruption: TypeAlias = Callable[[Environment, random.Random], Awaitable[None]]


@contextlib.asynccontextmanager
async def environment(
    mode: Mode,
    fork_server: ForkServer,
    clock: AcceleratedClock,
    directory: Path,
    *,
    mutant: str | None = None,
    settings: dict[str, str] | None = None,
    options: SqsdOptions = DAEMON,
    visibility: int | None = None,
    start: bool = True,
    inngest: Mapping[str, Any] | None = None,
    queues: QueueOptions | None = None,
    rules: Allowed | None = None,
) -> AsyncIterator[Environment]:
    """Start everything; `inngest` are arguments of the local event API."""
    async with contextlib.AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(SqsServer(clock=clock, region=REGION))
        defaults: dict[str, Any] = {"lags": Lags(insert=1.0), "persistence": "durable"}
        orchestrator = InngestServer(0, FUNCTIONS, clock=clock, **defaults | dict(inngest or {}))
        await stack.enter_async_context(orchestrator)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        client = SqsClient(http, sqs.url)
        visible = visibility or (lambda_host.VISIBILITY if mode in LAMBDA else VISIBILITY)
        main, dead = await _queues(
            client, sqs, visible, queues or QueueOptions(), fifo=mode in FIFO
        )
        port = free_port() if mode == "push" else None
        proxies = {
            "SQS": Proxy("SQS", int(sqs.url.rpartition(":")[2])),
            "Inngest": Proxy("Inngest", orchestrator.port),
            "sqsd": Proxy("sqsd", port or 0, gateway=True),
            "Lambda": Proxy("Lambda", 0),
        }
        ledger = await stack.enter_async_context(DynamoDb().serving())
        store = await stack.enter_async_context(ObjectStore().serving())
        proxies["DynamoDB"] = Proxy("DynamoDB", ledger.port)
        for proxy in proxies.values():
            await stack.enter_async_context(proxy.serving())
        variables = _environment(proxies, sqs.account.url_of(main), port)
        variables |= lambda_host.CLOCKS if mode in LAMBDA else {}
        variables |= {"AWS_ENDPOINT_URL_S3": store.url, **(settings or {})}
        output = directory / f"relay-{uuid.uuid4().hex}.log"  # an id() would come back
        relay: Relay | LambdaRelay
        if mode in LAMBDA:
            relay = LambdaRelay(
                *(fork_server, variables, output, mutant), clock=clock, api=proxies["Lambda"]
            )
            stack.push_async_callback(relay.close)
        else:
            command = ["serve" if mode == "push" else "poll"]
            relay = Relay(fork_server, command, variables, output, port, mutant)
            stack.push_async_callback(relay.kill_if_running)
        publisher = Publisher(client, sqs.account.url_of(main), clock.time, fifo=mode in FIFO)
        env = Environment(
            mode=mode,
            clock=clock,
            sqs=sqs,
            inngest=orchestrator,
            relay=relay,
            proxies=proxies,
            publisher=publisher,
            main=main,
            dead=dead,
            client=client,
            ledger=ledger,
            store=store,
            options=options,
            rules=rules or Allowed(),
        )
        stack.push_async_callback(env.stop_daemon, kill=True)
        if start:
            await relay.start()
            await env.start_daemon()
        yield env


async def _queues(
    client: SqsClient, sqs: SqsServer, visibility: int, options: QueueOptions, *, fifo: bool
) -> tuple[Queue, Queue]:
    suffix, kind = (".fifo", {"FifoQueue": "true"}) if fifo else ("", {})
    await client.call(
        "CreateQueue",
        QueueName=f"dead{suffix}",
        Attributes={
            "MessageRetentionPeriod": str(int(DLQ_RETENTION)),
            "MaximumMessageSize": str(options.largest_dead_letter),
            **kind,
        },
    )
    dead = sqs.queues[f"dead{suffix}"]
    policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": MAX_RECEIVE_COUNT}
    attributes = {
        "MessageRetentionPeriod": str(int(options.retention)),
        "VisibilityTimeout": str(visibility),
        "RedrivePolicy": json.dumps(policy),
        **kind,
    }
    await client.call("CreateQueue", QueueName=f"main{suffix}", Attributes=attributes)
    return sqs.queues[f"main{suffix}"], dead


def _environment(proxies: dict[str, Proxy], queue_url: str, port: int | None) -> dict[str, str]:
    found = {
        "AWS_ACCESS_KEY_ID": "chaos",
        "AWS_SECRET_ACCESS_KEY": "chaos",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": proxies["SQS"].url,
        "AWS_ENDPOINT_URL_DYNAMODB": proxies["DynamoDB"].url,
        "RELAY_QUEUE_URL": queue_url,
        "RELAY_INNGEST_URL": proxies["Inngest"].url,
        "RELAY_METRICS": "none",
        **CLOCKS,
    }
    return found if port is None else {**found, "PORT": str(port)}
