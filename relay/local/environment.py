"""A complete local setup on loopback: queues, the worker daemon, an event API and the relay."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types

from relay.local import lambda_events
from relay.local.inngest import Function, InngestServer
from relay.local.lambda_events.queue import SqsQueue
from relay.local.orchestrators.emulator import Emulator
from relay.local.processes import CONSOLE_AT, RelayProcess, free_port
from relay.local.sqs import SqsServer
from relay.local.sqs.queue_pair import create_pair
from relay.local.sqsd import Sqsd, SqsdOptions

Host = Literal["sqsd", "poller", "lambda"]
"""What receives the messages: the worker daemon and `relay serve`, `relay poll`, or AWS Lambda."""

HOSTS: tuple[Host, ...] = get_args(Host)

FIFO_HOSTS = ("poller", "lambda")
"""The hosts that keep the order of a message group."""

OUTPUT = "relay.log"
REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""The local SQS accepts any credentials; SDKs require some."""

DAEMON = SqsdOptions(
    visibility_timeout=1_080,
    inactivity_timeout=900,
    error_visibility_timeout=2,
    retention_period=1_209_600,
    drain_timeout=5,
)
"""The shipped options except one: after the relay is killed, its messages come back after 2 s
instead of 300."""


EVENT_SOURCE = lambda_events.EventSourceOptions(maximum_concurrency=2)
"""Few processes, because each loads the whole relay."""

HANDLER = "relay.app.aws_lambda.handler"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to set up.

    Attributes:
        functions: the functions of the local Inngest.
        host: what receives the messages.
        visibility: the main queue's visibility timeout in seconds. On Lambda also the function's
            timeout, as long as AWS allows and shorter than it advises.
        sqs_port: 0 for any free port, as with the other two ports.
        console_port: of `relay console`, 0 for any free port; None to run none.
        inngest_url: an Inngest server that is already running, to be used instead of the local one.
        destination: `inngest`, or the name of another orchestrator, whose emulator is started.
        settings: more variables of the relay; they take precedence.
    """

    directory: Path
    functions: Sequence[Function] = ()
    fifo: bool = False
    host: Host = "sqsd"
    visibility: int = 60
    sqs_port: int = 0
    inngest_port: int = 0
    relay_port: int = 0
    console_port: int | None = None
    inngest_url: str | None = None
    destination: str = "inngest"
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The running servers. `client` is an SQS client for publishers.

    `inngest` is None if `inngest_url` was given or an `emulator` runs in its place. `daemon` is
    there with the host sqsd only. On Lambda `relay` is the function, and `relay_url` is None.
    `console_url` is None without a console.
    """

    sqs: SqsServer
    inngest: InngestServer | None
    emulator: Emulator | None
    daemon: Sqsd | None
    relay: RelayProcess | lambda_events.Function
    client: Any
    queue_url: str
    dlq_url: str
    inngest_url: str
    relay_url: str | None
    console_url: str | None = None


@contextlib.asynccontextmanager
async def local_environment(plan: Plan) -> AsyncIterator[Environment]:
    """Start everything in order and stop it in reverse order.

    Raises:
        OSError: a port is taken.
        RelayFailed: the relay does not start.
    """
    async with contextlib.AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(SqsServer(port=plan.sqs_port, region=REGION))
        client = await stack.enter_async_context(_client(sqs.url))
        name = "relay.fifo" if plan.fifo else "relay"
        pair = create_pair(sqs.account, name, visibility=plan.visibility)
        queue_url, dlq_url = map(sqs.account.url_of, pair)
        inngest, emulator = None, None
        if plan.destination != "inngest":
            emulator = await stack.enter_async_context(Emulator(plan.destination))
        elif plan.inngest_url is None:
            inngest = InngestServer(plan.inngest_port, plan.functions)
            await stack.enter_async_context(inngest)
        inngest_url = plan.inngest_url or (inngest.url if inngest else "")
        port = None if plan.host == "lambda" else plan.relay_port or free_port()
        destination = emulator.settings if emulator else {}
        settings = _settings(sqs.url, queue_url, inngest_url, port) | destination | plan.settings
        relay: RelayProcess | lambda_events.Function
        if plan.host == "lambda":
            relay = await _start_lambda(plan, settings, queue_url, sqs.url, stack)
        else:
            relay = await _start_process(plan, settings, port, stack)
        relay_url = None if port is None else f"http://127.0.0.1:{port}"
        daemon = None
        if plan.host == "sqsd" and relay_url is not None:
            daemon = Sqsd(queue_url, relay_url, DAEMON, endpoint_url=sqs.url, region=REGION)
            await stack.enter_async_context(daemon)
        console_url = None
        if plan.console_port is not None:
            console = await stack.enter_async_context(_console(plan, settings, relay_url))
            console_url = await console.printed(CONSOLE_AT)
        yield Environment(
            sqs=sqs,
            inngest=inngest,
            emulator=emulator,
            daemon=daemon,
            relay=relay,
            client=client,
            queue_url=queue_url,
            dlq_url=dlq_url,
            inngest_url=inngest_url,
            relay_url=relay_url,
            console_url=console_url,
        )


async def _start_process(
    plan: Plan, settings: Mapping[str, str], port: int | None, stack: contextlib.AsyncExitStack
) -> RelayProcess:
    relay = RelayProcess(
        "poll" if plan.host == "poller" else "serve",
        settings=settings,
        output=plan.directory / OUTPUT,
        port=port,
    )
    return await stack.enter_async_context(relay)


async def _start_lambda(
    plan: Plan,
    settings: Mapping[str, str],
    queue_url: str,
    sqs_url: str,
    stack: contextlib.AsyncExitStack,
) -> lambda_events.Function:
    """A function, and the event source that invokes it."""
    function = lambda_events.Function(
        HANDLER,
        variables=settings,
        output=plan.directory / OUTPUT,
        timeout=plan.visibility,
        freeze=True,
    )
    await stack.enter_async_context(function)
    queue = await stack.enter_async_context(
        SqsQueue(queue_url, endpoint_url=sqs_url, region=REGION)
    )
    source = lambda_events.EventSource(
        queue, function.invoke, EVENT_SOURCE, function_timeout=plan.visibility
    )
    await stack.enter_async_context(source)
    return function


def _console(plan: Plan, settings: Mapping[str, str], relay_url: str | None) -> RelayProcess:
    """A console that may write: what it can change is gone when the environment stops."""
    options = ["--write", "--port", str(plan.console_port), "--directory", str(plan.directory)]
    options += ["--relay", relay_url] if relay_url else []
    output = plan.directory / "console.log"
    return RelayProcess("console", *options, settings=settings, output=output)


def _client(endpoint: str) -> Any:
    """A plain SQS client: what is published does not depend on the relay's code."""
    return AioSession().create_client(
        "sqs",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=AioConfig(retries={"total_max_attempts": 1}, max_pool_connections=20),
    )


def _settings(sqs_url: str, queue_url: str, inngest_url: str, port: int | None) -> dict[str, str]:
    settings = {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": sqs_url,
        "RELAY_QUEUE_URL": queue_url,
        "RELAY_INNGEST_URL": inngest_url,
        "RELAY_INNGEST_EVENT_KEY": "local",
        # There are credentials, but no CloudWatch to send metrics to.
        "RELAY_METRICS": "none",
    }
    return settings if port is None else {**settings, "PORT": str(port)}
