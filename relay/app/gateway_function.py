"""The gateway behind a Lambda function URL: `relay.app.gateway_function.handler`.

settings -> telemetry -> `Gateway` -> `EventPublisher` (opened by the first event)

One event loop, one client of SQS and one set of keys are kept for as long as the execution
environment lives. The loop runs only during an invocation, so nothing runs by a timer: keys that
are old are read before a request is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from relay.app.gateway import (
    key_document,
    missing_settings,
    new_gateway,
    publisher_options,
    readiness,
    webhook_sources,
)
from relay.app.telemetry import Telemetry, start_telemetry
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.gateway.answers import failure
from relay.gateway.function_url import Application, NotARequest, answer, read_request, response
from relay.gateway.keys import Keys
from relay.gateway.stored_keys import StoredKeys
from relay.gateway.webhooks.endpoint import Webhooks
from relay.gateway.webhooks.sources import BadSource
from relay.http.proxy_variables import apply_proxy_setting
from relay.model.event import Event
from relay.process import new_event_loop, remove_log_handlers, tune_garbage_collector
from relay.publishing.opening import open_publisher
from relay.publishing.publisher import EventPublisher, NotPublished
from relay.settings.loading import Loaded, load
from relay.settings.model import Settings
from relay.telemetry.report import State

LAST_STEP = 1.0
"""Seconds before the end of an invocation in which the answer is given. Lambda's own answer to an
invocation that takes too long has no `error`, so an SDK might take it for success."""

_log = logging.getLogger(__name__)


class Context(Protocol):
    """What Lambda passes to a function besides the event, as far as it is used here."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        ...


class CannotStart(Exception):
    """The settings are invalid or incomplete."""


@dataclass(frozen=True, slots=True)
class _Running:
    application: Application
    keys: Keys
    telemetry: Telemetry

    async def answer(self, event: object) -> dict[str, object]:
        scope, body = read_request(event)
        if isinstance(self.keys, StoredKeys):
            await self.keys.refresh_if_old()
        return await answer(self.application, scope, body)


class GatewayFunction:
    """The function. It always answers: an invocation that fails would be answered by Lambda.

    Args:
        load_settings: reads the settings at the first invocation.
    """

    def __init__(self, load_settings: Callable[[], Loaded] = load) -> None:
        self._load = load_settings
        self._stack = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: _Running | None = None

    def __call__(self, event: object, context: Context) -> dict[str, object]:
        """Answer one request to the function URL."""
        if self._loop is None:
            self._loop = new_event_loop()
        seconds = context.get_remaining_time_in_millis() / 1_000 - LAST_STEP
        return self._loop.run_until_complete(self._invoke(event, seconds))

    def close(self) -> None:
        """Close every connection. Lambda never calls this; tests do."""
        if self._loop is not None:
            self._loop.run_until_complete(self._stack.aclose())
            self._loop.close()
        self._loop = self._running = None

    async def _invoke(self, event: object, seconds: float) -> dict[str, object]:
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(event)
        except TimeoutError:
            return _failure("no_answer", "the gateway could not answer in time: send it again")
        except NotARequest as error:
            return _failure("not_a_request", str(error), HTTPStatus.BAD_REQUEST)
        except (CannotStart, BadSource) as error:
            _log.error("the gateway cannot start: %s", error)
            return _failure("invalid_settings", "the gateway is configured wrongly: see its log")
        except Exception:  # noqa: BLE001 - the sender must get an answer that it understands
            _log.exception("an invocation failed")
            return _failure("failed", "the gateway failed: its log has the cause")

    async def _answer(self, event: object) -> dict[str, object]:
        if self._running is None:
            self._running = await self._start()
            tune_garbage_collector()
        try:
            return await self._running.answer(event)
        finally:
            await self._running.telemetry.flush()

    async def _start(self) -> _Running:
        settings = _checked(self._load())
        async with AsyncExitStack() as starting:
            remove_log_handlers()
            telemetry = await starting.enter_async_context(start_telemetry(settings, timer=False))
            queue = QueueOnDemand(settings, starting)
            keys = key_document(settings)
            app = new_gateway(
                settings, queue, keys, lambda: readiness(queue.problem, keys), telemetry.observe
            )
            telemetry.state = lambda: State(in_flight=app.in_flight, problem=queue.problem)
            webhooks = Webhooks(app, webhook_sources(settings))
            self._stack = starting.pop_all()
        return _Running(app.asgi(webhooks.routes()), keys, telemetry)


class QueueOnDemand:
    """Publishes to the queue, which is opened by the first call, or after a failure by the next."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._session = SharedSession(stack)
        self._publisher: EventPublisher | None = None
        self.problem: str | None = None

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once SQS has confirmed every event. Raises as `EventPublisher` does."""
        if self._publisher is None:
            self._publisher = await self._open()
        try:
            await self._publisher.publish(events)
        finally:
            self.problem = self._publisher.problem

    async def _open(self) -> EventPublisher:
        options = publisher_options(self._settings)
        opening = open_publisher(self._settings.queue_url or "", options, self._session)
        try:
            return await self._stack.enter_async_context(opening)
        except AwsError as error:
            self.problem = error.sentence
            raise NotPublished("not_open", error.sentence) from error


def _checked(loaded: Loaded) -> Settings:
    """The settings.

    Raises:
        CannotStart: one is invalid or missing. Every request is answered 503.
    """
    settings = loaded.settings
    proxies = apply_proxy_setting(settings.proxy)
    problems = [*loaded.errors, *proxies, *missing_settings(settings)]
    if problems:
        raise CannotStart("; ".join(problems))
    # Each line of standard output is a log event here, so CloudWatch finds the metrics in it.
    found = {"metrics": "emf"} if settings.metrics == "auto" else {}
    return settings.model_copy(update=found)


def _failure(
    code: str, reason: str, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE
) -> dict[str, object]:
    made = failure(status, code, reason)
    return response(status, {"content-type": "application/json"}, bytes(made.body))


handler = GatewayFunction()
