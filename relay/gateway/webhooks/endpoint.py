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
from relay.gateway.refusal_log import WEBHOOK
from relay.gateway.requests import Body, read_headers
from relay.gateway.webhooks.events import event_of
from relay.gateway.webhooks.keys import SourceKeys
from relay.gateway.webhooks.places import read_place
from relay.gateway.webhooks.request import WebhookRequest
from relay.gateway.webhooks.sources import Challenge, Source
from relay.gateway.webhooks.verification import Unverified, verify
from relay.model.event import Event
from relay.publishing.events import read_events

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
    """

    def __init__(
        self,
        gateway: Gateway,
        sources: Mapping[str, OpenSource],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._sources = sources
        self._now = now
        self._problems: dict[str, str] = {}

    def routes(self) -> list[Route]:
        """The endpoints."""
        return [Route("/webhooks/{source}", self._answer, methods=["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        return await self._gateway.answer(request, self._authorize, self._read, proven=False)

    async def _authorize(self, request: Request) -> Key:
        """The source takes the place of an event key. Its signature is checked with the body."""
        name = request.path_params["source"]
        if name not in self._sources:
            raise Refused(
                HTTPStatus.NOT_FOUND, "unknown_source", "the gateway has no webhook source here"
            )
        return Key(name=f"{WEBHOOK}{name}")

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
            raise Refused(HTTPStatus.UNAUTHORIZED, error.code, error.sentence) from None
        except (AwsError, ValueError) as error:
            reason = error.sentence if isinstance(error, AwsError) else str(error)
            self._note_problem(name, reason)
            raise unavailable("secret_unusable", "the source's secret cannot be used now") from None
        answer = _answer_to(opened.source.challenge, webhook)
        if answer is not None:
            return answer
        event = event_of(name, opened.source, webhook, self._now())
        return read_events(event, headers.seed, self._gateway.limits, trace=headers.trace)

    def _note_problem(self, name: str, reason: str) -> None:
        """Log why a source's secret cannot be used, once for each reason."""
        if self._problems.get(name) != reason:
            _log.error("the secret of the webhook source %s cannot be used: %s", name, reason)
        self._problems[name] = reason

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
