"""The event API as an ASGI application: `POST /e/{key}`, as Inngest's SDKs send it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from relay.forwarding.pacing import TokenBucket
from relay.gateway.answers import Refused, accepted, failure, refusal, unavailable
from relay.gateway.keys import Key, Keys
from relay.gateway.refusal_log import RefusalLog
from relay.gateway.requests import Body, MemoryBudget, read_headers
from relay.http.server import Readiness, health_routes
from relay.model.event import Event
from relay.model.facts import EventsAccepted, EventsRefused, Observe, ignore
from relay.publishing.events import EventLimits, InvalidEvents, read_events
from relay.publishing.publisher import NotPublished, SupportsPublish

_log = logging.getLogger(__name__)

DISCONNECTED = "disconnected"

Authorize = Callable[[Request], Awaitable[Key]]
Read = Callable[[Request, Body], Awaitable[Sequence[Event] | Response]]


class Gateway:
    """Accepts events and answers 200 only once all of a request are in the queue.

    Args:
        publisher: puts events into the queue.
        keys: who may send.
        ready: the answer to `GET /ready`.
        limits: what one request may hold.
        max_request_bytes: bytes of one request.
        max_in_flight_bytes: bytes of memory for all requests together.
        observe: gets a fact for each request.
        clock: monotonic seconds.

    Attributes:
        publisher: may be replaced while requests are answered.
    """

    def __init__(
        self,
        publisher: SupportsPublish,
        keys: Keys,
        ready: Readiness,
        *,
        limits: EventLimits | None = None,
        max_request_bytes: int = 8_388_608,
        max_in_flight_bytes: int = 67_108_864,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.publisher = publisher
        self._keys = keys
        self._ready = ready
        self.limits = limits or EventLimits()
        self._max_request_bytes = max_request_bytes
        self._budget = MemoryBudget(max_in_flight_bytes)
        # Senders of webhooks are proven by their bodies, so that anybody can make one be read.
        self._unproven = MemoryBudget(max_in_flight_bytes // 2, within=self._budget)
        self._observe = observe
        self._clock = clock
        self._refusals = RefusalLog(clock)
        self._buckets: dict[str, tuple[float, TokenBucket]] = {}
        self._stopping = False
        self._open: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return len(self._open)

    @property
    def memory_used(self) -> int:
        """Bytes that their bodies are counted with."""
        return self._budget.used

    def routes(self) -> list[Route]:
        """The endpoints."""
        return [
            *health_routes(self._ready),
            # A base URL that ends in a slash becomes two in the Go SDK.
            Route("/e/{key}", self._post, methods=["POST"]),
            Route("//e/{key}", self._post, methods=["POST"]),
            *(Route(path, self._no_key, methods=["POST"]) for path in ("/e", "/e/", "//e/")),
        ]

    def asgi(self, more: Sequence[Route] = ()) -> Starlette:
        """The application to serve, with more endpoints besides these."""
        routes = [*self.routes(), *more]
        app = Starlette(routes=routes, exception_handlers={HTTPException: _nothing_here})
        # A redirect would name this server's scheme, and send the key without TLS.
        app.router.redirect_slashes = False
        return app

    def stop(self) -> None:
        """Answer new requests 503 from now on."""
        self._stopping = True

    async def drain(self, deadline: float) -> None:
        """Return when all requests are answered; with 503 if `deadline` seconds are not enough."""
        try:
            async with asyncio.timeout(deadline):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("%d requests were not confirmed before the stop", len(self._open))
            # The server would answer them 500, which no SDK is meant to see.
            for one in self._open:
                one.reschedule(0.0)
            await self._idle.wait()

    async def accept(self, events: Sequence[Event], key: Key) -> Response:
        """Publish the events of one request, and answer it.

        Raises:
            Refused: the key does not allow them, or they are not all in the queue.
        """
        self._check_allowed(events, key)
        if not events:
            return accepted([])
        try:
            await self.publisher.publish(events)
        except InvalidEvents as error:
            raise _invalid(error) from None
        except NotPublished as error:
            if error.permanent:
                raise Refused(HTTPStatus.BAD_REQUEST, "refused_by_sqs", str(error)) from None
            raise unavailable(error.code, str(error)) from None
        return accepted([event.id for event in events])

    async def _post(self, request: Request) -> Response:
        return await self.answer(request, self._authorized, self._read)

    async def answer(
        self, request: Request, authorize: Authorize, read: Read, *, proven: bool = True
    ) -> Response:
        """Answer one request, whatever happens.

        Args:
            request: the request.
            authorize: returns what its sender may send, before the body is read. Raises `Refused`.
            read: makes events of the body, or an answer that publishes nothing. Raises `Refused` or
                `InvalidEvents`.
            proven: whether `authorize` proves the sender. Requests of others take at most half of
                the memory together.
        """
        until_stopped = asyncio.timeout(None)
        self._idle.clear()
        self._open.add(until_stopped)
        budget = self._budget if proven else self._unproven
        try:
            async with until_stopped:
                return await self._answer_or_refuse(request, authorize, read, budget)
        except TimeoutError:
            reason = "the gateway stopped before SQS confirmed the events: send them again"
            return self._refuse(unavailable("stopping", reason), None)
        finally:
            self._open.discard(until_stopped)
            if not self._open:
                self._idle.set()

    async def _answer_or_refuse(
        self, request: Request, authorize: Authorize, read: Read, budget: MemoryBudget
    ) -> Response:
        start, key = self._clock(), None
        try:
            key = await authorize(request)
            response, count = await self._publish(request, key, read, budget)
        except Refused as error:
            refused = error
        except ClientDisconnect:
            refused = unavailable(DISCONNECTED, "the connection closed before the body's end")
        except Exception:  # noqa: BLE001 - the sender must get an answer that it understands
            # 500 would not be repeated by every SDK. What is wrong here may end with a restart.
            _log.exception("a request failed")
            refused = unavailable("failed", "the gateway failed: its log has the cause")
        else:
            seconds = self._clock() - start
            self._observe(EventsAccepted(events=count, seconds=seconds, key=key.name))
            return response
        return self._refuse(refused, key)

    async def _publish(
        self, request: Request, key: Key, read: Read, budget: MemoryBudget
    ) -> tuple[Response, int]:
        if self._stopping:
            raise unavailable("stopping", "the gateway is stopping: send it again")
        most = min(self._max_request_bytes, key.max_request_bytes or self._max_request_bytes)
        with Body(request, most, budget) as body:
            try:
                events = await read(request, body)
            except InvalidEvents as error:
                raise _invalid(error) from None
            if isinstance(events, Response):
                return events, 0
            return await self.accept(events, key), len(events)

    async def _read(self, request: Request, body: Body) -> Sequence[Event]:
        headers = read_headers(request)
        return read_events(
            await body.read(), headers.seed, self.limits, trace=headers.trace, env=headers.env
        )

    async def _authorized(self, request: Request) -> Key:
        text = request.path_params["key"]
        found = await self._keys.find(text)
        if found is None:
            raise Refused(
                HTTPStatus.UNAUTHORIZED, "unknown_key", "the gateway does not know this event key"
            )
        return found

    def _check_allowed(self, events: Sequence[Event], key: Key) -> None:
        for event in events:
            if not key.allows(event.name):
                raise Refused(
                    HTTPStatus.FORBIDDEN,
                    "event_not_allowed",
                    f"event {event.index + 1}: the key {key.name} may not send {event.name!r}",
                )
        if key.rate is not None and not self._within_rate(key.name, key.rate, len(events)):
            # Not 429: two of the SDKs give up at once when they see it.
            reason = f"the key {key.name} sends more than {key.rate:g} events a second"
            raise unavailable("rate_limited", reason)

    def _within_rate(self, name: str, rate: float, count: int) -> bool:
        known = self._buckets.get(name)
        if known is None or known[0] != rate:
            known = self._buckets[name] = rate, TokenBucket(rate, clock=self._clock)
        # The balance may become negative, by one request, so that one of any size passes.
        if known[1].take(0) > 0:
            return False
        known[1].take(count)
        return True

    def _refuse(self, error: Refused, key: Key | None) -> Response:
        name = key.name if key else ""
        self._refusals.note(error, name)
        self._observe(
            EventsRefused(code=error.code, status=error.status, key=name, reason=str(error))
        )
        return refusal(error)

    async def _no_key(self, _request: Request) -> Response:
        reason = "there is no event key: set INNGEST_EVENT_KEY, or send to /e/ and the key"
        return self._refuse(Refused(HTTPStatus.UNAUTHORIZED, "no_key", reason), None)


async def _nothing_here(_request: Request, error: Exception) -> Response:
    """The answer to a path or a method that is none of the gateway's."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 404)
    return failure(status, "not_found", "there is nothing here: POST events to /e/ and a key")


def _invalid(error: InvalidEvents) -> Refused:
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if error.too_large else HTTPStatus.BAD_REQUEST
    return Refused(status, error.code, str(error))
