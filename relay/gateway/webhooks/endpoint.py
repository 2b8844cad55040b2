"""`/webhooks/{source}`: verifies a webhook and publishes its event before the 200."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from relay.aws.errors import AwsError
from relay.gateway.answers import Refused, unavailable
from relay.gateway.app import Gateway
from relay.gateway.keys import Key
from relay.gateway.requests import Body, read_headers
from relay.gateway.webhooks.events import event_of
from relay.gateway.webhooks.keys import SourceKeys
from relay.gateway.webhooks.places import read_place
from relay.gateway.webhooks.request import WebhookRequest
from relay.gateway.webhooks.sources import Challenge, Source
from relay.gateway.webhooks.verification import Unverified, verify
from relay.model.event import Event
from relay.publishing.events import read_events

LOG_EVERY = 60.0
"""Seconds between two log lines about the same refusal, which anybody can cause."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source with its current keys."""

    source: Source
    keys: SourceKeys


class Webhooks:
    """The endpoints of all sources, as a part of the gateway.

    Args:
        gateway: publishes events and answers requests.
        sources: by name, which is the last part of the address.
        now: seconds since 1970.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        sources: Mapping[str, OpenSource],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._sources = sources
        self._now = now
        self._refusals = RefusalLog(clock)

    def routes(self) -> list[Route]:
        """The endpoints."""
        return [Route("/webhooks/{source}", self._answer, methods=["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        return await self._gateway.answer(request, self._authorize, self._read, proven=False)

    async def _authorize(self, request: Request) -> Key:
        """The source takes the place of an event key. Its signature is checked with the body."""
        name = request.path_params["source"]
        if name not in self._sources:
            self._refusals.add("unknown", "unknown_source", f"there is no source {name[:64]!r}")
            raise Refused(
                HTTPStatus.NOT_FOUND, "unknown_source", "the gateway has no webhook source here"
            )
        return Key(name=f"webhook:{name}")

    async def _read(self, request: Request, body: Body) -> list[Event] | Response:
        name = request.path_params["source"]
        opened = self._sources[name]
        try:
            if request.method != "POST":
                return await self._challenged(request, opened)
            headers = read_headers(request)
            webhook = _webhook_request(request, await body.read(), opened.source)
            await self._verify(webhook, opened)
        except Unverified as error:
            self._refusals.add(name, error.code, error.sentence)
            raise Refused(HTTPStatus.UNAUTHORIZED, error.code, error.sentence) from None
        except (AwsError, ValueError) as error:
            reason = error.sentence if isinstance(error, AwsError) else str(error)
            self._refusals.add(name, "secret_unusable", reason)
            raise unavailable("secret_unusable", "the source's secret cannot be used now") from None
        answer = _answer_to(opened.source.challenge, webhook)
        if answer is not None:
            return answer
        event = event_of(name, opened.source, webhook, self._now())
        return read_events(event, headers.seed, self._gateway.limits, trace=headers.trace)

    async def _verify(self, webhook: WebhookRequest, opened: OpenSource) -> None:
        """Check the signature, with the secrets looked up again if it does not match."""
        signature = opened.source.signature
        try:
            verify(webhook, signature, await opened.keys.current(), self._now())
        except Unverified as error:
            keys = await opened.keys.refreshed() if error.code == "signature_wrong" else None
            if keys is None:
                raise
            verify(webhook, signature, keys, self._now())

    async def _challenged(self, request: Request, opened: OpenSource) -> Response:
        """The answer to an unsigned check of the address, which has one of the secrets in it."""
        challenge = opened.source.challenge
        webhook = _webhook_request(request, b"", opened.source)
        if challenge is None or not challenge.token:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "webhooks are POSTs")
        given = read_place(challenge.token, webhook).encode()
        if not sum(hmac.compare_digest(given, key) for key in await opened.keys.current()):
            raise Unverified("token_wrong", "the token is not one of the source's secrets")
        answer = _answer_to(challenge, webhook)
        if answer is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "no_challenge", "there is no challenge to answer")
        return answer


class RefusalLog:
    """Logs refusals with their source: each kind once a minute, with how many there were.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def add(self, source: str, code: str, sentence: str) -> None:
        """Count a refusal, and log it unless one like it was logged within the last minute.

        Args:
            source: the source's name.
            code: of the refusal.
            sentence: what was wrong.
        """
        logged_at, more = self._seen.get((source, code), (float("-inf"), 0))
        if self._clock() < logged_at + LOG_EVERY:
            self._seen[source, code] = logged_at, more + 1
            return
        self._seen[source, code] = self._clock(), 0
        since = f" ({more} more since the last such line)" if more else ""
        _log.warning("webhook refused: source %s, %s: %s%s", source, code, sentence, since)


def _webhook_request(request: Request, body: bytes, source: Source) -> WebhookRequest:
    """The request as its sender made it: a proxy in front of the gateway changes the address."""
    scope = request.scope
    origin = source.url.rstrip("/") or f"{scope['scheme']}://{request.headers.get('host', '')}"
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = dict(request.headers)
    return WebhookRequest(headers, body, origin + target.decode("latin-1"), source.form_json)


def _answer_to(challenge: Challenge | None, webhook: WebhookRequest) -> Response | None:
    """The answer to a check of the address; None if the request is a webhook."""
    if challenge is None or read_place(challenge.when, webhook) != challenge.equals:
        return None
    return PlainTextResponse(read_place(challenge.answer, webhook))
