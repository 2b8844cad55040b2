"""Reads a request: its headers and its body, within limits."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from starlette.requests import Request

from relay.gateway.answers import Refused, unavailable
from relay.model.event import ENVIRONMENT, MAX_ENVIRONMENT, is_environment
from relay.model.trace_context import TRACEPARENT, valid_traceparent
from relay.publishing.ids import SEED_HEADER, Seed, new_seed, parse_seed

COPIES = 4
"""Times that a body is in memory while its events are published: as received, its parts, the
messages, and the request to SQS."""


@dataclass(frozen=True, slots=True)
class EventHeaders:
    """What the headers say about all events of a request."""

    seed: Seed
    env: str | None
    trace: str | None


class MemoryBudget:
    """The bytes that all requests together may take.

    Args:
        limit: the most bytes. A request that is alone is always allowed.
        within: the budget that this one is a part of.
    """

    def __init__(self, limit: int, within: MemoryBudget | None = None) -> None:
        self._limit = limit
        self._within = within
        self.used = 0

    def take(self, size: int, held: int) -> None:
        """Take so many bytes more for a request that holds some already.

        Raises:
            Refused: there is no room for them.
        """
        if self.used > held and self.used + size > self._limit:
            raise unavailable("busy", "the gateway is busy: too many requests are under way")
        if self._within is not None:
            self._within.take(size, held)
        self.used += size

    def give_back(self, size: int) -> None:
        """The request is answered."""
        if self._within is not None:
            self._within.give_back(size)
        self.used -= size


def read_headers(request: Request) -> EventHeaders:
    """The headers. A seed or a trace that is not valid is ignored, as Inngest ignores it.

    Raises:
        Refused: the environment cannot be one, or the body is encoded.
    """
    headers = request.headers
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "encoded_body",
            f"the body has the encoding {encoding[:40]!r}: send it without one",
        )
    env = headers.get(ENVIRONMENT, "").strip() or None
    if env is not None and not is_environment(env):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "bad_environment",
            f"the header {ENVIRONMENT} must be 1 to {MAX_ENVIRONMENT} printable ASCII characters",
        )
    seed = parse_seed(headers.get(SEED_HEADER)) or new_seed()
    return EventHeaders(seed, env, valid_traceparent(headers.get(TRACEPARENT)))


class Body:
    """Reads the body of one request, counted in the budget for as long as the block runs.

    Args:
        request: the request.
        most: bytes of the largest body.
        budget: the memory of all requests.
    """

    def __init__(self, request: Request, most: int, budget: MemoryBudget) -> None:
        self._request = request
        self._most = most
        self._budget = budget
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._taken)

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            Refused: it is too large, or there is no room for it now.
            ClientDisconnect: the connection closed before its end.
        """
        self._check(_declared(self._request))
        body = bytearray()  # a list of many small parts would take many times the body's size
        async for part in self._request.stream():
            self._budget.take(len(part) * COPIES, self._taken)
            self._taken += len(part) * COPIES
            body += part
            self._check(len(body))
        return bytes(body)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "request_too_large",
                f"the request is larger than {self._most} bytes: send fewer events at a time",
            )


def _declared(request: Request) -> int:
    """The length that the request declares; the server refuses one that is no number."""
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0
