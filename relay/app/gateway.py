"""Builds `relay gateway`: an HTTP server, the event API, a publisher and the queue.

settings -> telemetry -> socket -> `Gateway` -> `EventPublisher` (once the queue is open)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from relay.app.telemetry import start_telemetry
from relay.aws.errors import AwsError
from relay.aws.secrets import Secret
from relay.aws.session import SharedSession
from relay.gateway.app import Gateway
from relay.gateway.key_document import KeyDocument
from relay.gateway.keys import FixedKeys, Keys, parse_keys
from relay.gateway.stored_keys import REFRESH_UNKNOWN, StoredKeys
from relay.gateway.webhooks.endpoint import OpenSource, Webhooks
from relay.gateway.webhooks.keys import SourceKeys
from relay.gateway.webhooks.presets import PRESETS
from relay.gateway.webhooks.sources import BadSource, Source, read_sources
from relay.http.addresses import authority
from relay.http.server import Readiness, serving, started_route
from relay.model.event import Event
from relay.model.facts import Observe
from relay.process import on_hangup, on_stop_signal, tune_garbage_collector
from relay.publishing.events import EventLimits
from relay.publishing.opening import PublisherOptions, open_publisher
from relay.publishing.publisher import EventPublisher, NotPublished, SupportsPublish
from relay.settings.model import Settings
from relay.telemetry.report import State

RESPONSE_GRACE = 5.0
"""Seconds that the last responses may take after a stop."""

RETRY_FIRST = 1.0
RETRY_LONGEST = 30.0
"""Seconds between tries to open the queue."""

FILE_EVERY = 5.0
"""Seconds between two reads of a file of event keys."""

_log = logging.getLogger(__name__)


async def gateway(settings: Settings) -> None:
    """Serve until a signal, then answer what is under way.

    Raises:
        OSError: the address cannot be bound.
        BadSource: a source of webhooks is described wrongly.
    """
    sources = webhook_sources(settings)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.enter_context(on_stop_signal(stop.set))
        stack.enter_context(on_hangup(stop.set))
        telemetry = await stack.enter_async_context(start_telemetry(settings))
        queue = QueueOpening(settings)
        keys = key_document(settings)
        if isinstance(keys, StoredKeys):
            await stack.enter_async_context(keys.running())
        app = new_gateway(
            settings,
            queue,
            keys,
            lambda: readiness(queue.problem, keys),
            telemetry.observe,
        )
        telemetry.state = lambda: State(in_flight=app.in_flight, problem=queue.problem)
        await stack.enter_async_context(queue.running())
        started = started_route(lambda: queue.was_opened)
        served = serving(
            telemetry.add_metrics_route(app.asgi([started, *Webhooks(app, sources).routes()])),
            host=settings.host,
            port=settings.port,
            grace=RESPONSE_GRACE,
        )
        async with served:
            _log.info("listening on %s", authority(settings.host, settings.port))
            tune_garbage_collector()
            await stop.wait()
            _log.info("stopping: finishing open requests")
            app.stop()
            await app.drain(settings.drain_deadline)


def missing_settings(settings: Settings) -> list[str]:
    """A sentence for each setting without which no gateway can accept anything."""
    missing = []
    if settings.queue_url is None:
        missing.append("RELAY_QUEUE_URL is not set: set it to the queue's URL, ARN or name")
    if not (settings.gateway_keys or settings.gateway_key_store or settings.webhooks):
        missing.append(
            "nobody may send: set RELAY_GATEWAY_KEYS to a name and a key of your choice, such as"
            " web=Yk3nQ7aB, or RELAY_GATEWAY_KEY_STORE or RELAY_WEBHOOKS"
        )
    return missing


def new_gateway(
    settings: Settings,
    publisher: SupportsPublish,
    keys: Keys,
    ready: Readiness,
    observe: Observe,
) -> Gateway:
    """The gateway with the limits of the settings."""
    return Gateway(
        publisher,
        keys,
        ready,
        limits=EventLimits(
            max_events=settings.max_events, max_event_bytes=settings.max_event_bytes
        ),
        max_request_bytes=settings.gateway_max_request_bytes,
        max_in_flight_bytes=settings.gateway_max_in_flight_bytes,
        observe=observe,
    )


def readiness(problem: str | None, keys: Keys) -> tuple[bool, Mapping[str, Any]]:
    """The answer of `GET /ready`: whether requests can succeed, and what else is wrong.

    Args:
        problem: why events cannot be published; None if they can.
        keys: the event keys. Without their document those that were read last stay in force.
    """
    warnings = []
    if isinstance(keys, StoredKeys) and keys.problem is not None:
        sentence = f"the event keys cannot be read: {keys.problem}"
        if keys.were_read:
            warnings.append(sentence)
        else:
            problem = problem or sentence
    return problem is None, {"reason": problem, "warnings": warnings}


def webhook_sources(settings: Settings) -> dict[str, OpenSource]:
    """The sources of webhooks, with their keys.

    Raises:
        BadSource: a source is described wrongly.
    """
    if settings.webhooks is None:
        return {}
    described = read_sources(settings.webhooks.get_secret_value(), PRESETS)
    return {name: _open_source(name, source, settings) for name, source in described.items()}


def _open_source(name: str, source: Source, settings: Settings) -> OpenSource:
    secret = partial(Secret, max_age=settings.secret_max_age)
    try:
        return OpenSource(source, SourceKeys(source.secrets, source.signature.key, secret))
    except ValueError as error:
        raise BadSource(f"source {name!r}: {error}") from None


def key_document(settings: Settings) -> Keys:
    """The event keys. Those of a document are not read yet."""
    given = settings.gateway_keys
    fixed = parse_keys(given.get_secret_value()) if given else []
    if settings.gateway_key_store is None:
        return FixedKeys(fixed)
    document = KeyDocument(settings.gateway_key_store)
    return StoredKeys(
        partial(asyncio.to_thread, document.read),
        every=settings.secret_max_age if document.stored else FILE_EVERY,
        every_unknown=REFRESH_UNKNOWN if document.stored else 0.0,
        fixed=fixed,
    )


class QueueOpening:
    """Publishes to the queue once it is open. Until then every call fails as temporary.

    It is opened in the background: a missing queue or permission may get fixed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher: EventPublisher | None = None
        self._reason = "the queue is not open yet"

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once SQS has confirmed every event. Raises as `EventPublisher` does."""
        if self._publisher is None:
            raise NotPublished("not_open", self._reason)
        await self._publisher.publish(events)

    @property
    def was_opened(self) -> bool:
        """Whether the queue is open. Once open, it stays so."""
        return self._publisher is not None

    @property
    def problem(self) -> str | None:
        """Why events cannot be published, as far as it is known; None if they can."""
        return self._reason if self._publisher is None else self._publisher.problem

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the queue, for as long as the block runs, and close it at its end."""
        async with AsyncExitStack() as stack:
            opening = asyncio.create_task(self._open(stack), name="open queue")
            try:
                yield
            finally:
                opening.cancel()
                await asyncio.wait({opening})

    async def _open(self, stack: AsyncExitStack) -> None:
        pause = RETRY_FIRST
        session = SharedSession(stack)
        while True:
            try:
                self._publisher = await stack.enter_async_context(
                    open_publisher(
                        self._settings.queue_url or "",
                        publisher_options(self._settings),
                        session,
                    )
                )
            except AwsError as error:
                if self._reason != error.sentence:
                    _log.error("the queue cannot be opened: %s", error.sentence)
                self._reason = error.sentence
                await asyncio.sleep(pause)
                pause = min(RETRY_LONGEST, pause * 2)
            else:
                _log.info("publishing to %s", self._settings.queue_url)
                return


def publisher_options(settings: Settings) -> PublisherOptions:
    """How the gateway makes messages of events."""
    return PublisherOptions(
        group_path=settings.gateway_group_path,
        payload_bucket=settings.gateway_bucket,
        timeout=settings.gateway_timeout,
    )
