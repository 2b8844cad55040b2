"""A producer of gateway runs: sends as an SDK does, and keeps its own record of the answers."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.gateway.requests import EventRequest

TRIES = 5
"""As the SDKs: they give up then (measured: after 1.7 to 3.4 seconds)."""

PATIENCE = 90.0
"""Accelerated seconds that one try may take."""


@dataclass
class Answers:
    """What the producer was told about its events, by id.

    Attributes:
        confirmed: ids of events that were answered 200.
        unknown: ids of events in requests of which no try was answered for good.
        refused: ids of events in requests that were answered 4xx.
        complaints: answers that no gateway may give.
        codes: how often each code of an error came; `no answer` for a connection that ended.
    """

    confirmed: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)


class Producer:
    """Sends requests to one gateway.

    Args:
        http: the HTTP client.
        url: the gateway's address.
        key: the event key.
        clock: the run's clock.
    """

    def __init__(
        self, http: aiohttp.ClientSession, url: str, key: str, clock: AcceleratedClock
    ) -> None:
        self._http = http
        self._url = f"{url}/e/{key}"
        self._clock = clock
        self.answers = Answers()

    async def send(
        self, request: EventRequest, chance: random.Random, *, tries: int = TRIES
    ) -> bool:
        """Send until it is answered for good; whether the gateway accepted the events."""
        for attempt in range(tries):
            if attempt:
                await self._clock.sleep(chance.uniform(0.1, 2.0**attempt))
            status, body = await self._try(request)
            self.answers.codes[_code(status, body)] += 1
            if status == 200:
                self._accepted(request, body)
                return True
            if 400 <= status < 500:
                self._refused(request, status, body)
                return False
            if status and (status != 503 or b'"error"' not in body):
                self.answers.complaints.append(f"answered {status} {body[:100]!r}")
        self.answers.unknown.update(filter(None, request.ids))
        return False

    async def _try(self, request: EventRequest) -> tuple[int, bytes]:
        """The status and body of an answer; status 0 if there was none."""
        try:
            async with (
                self._clock.timeout(PATIENCE),
                self._http.post(
                    self._url, data=io.BytesIO(request.body), headers=request.headers
                ) as answer,
            ):
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError):
            return 0, b""

    def _accepted(self, request: EventRequest, body: bytes) -> None:
        ids = json.loads(body)["ids"]
        if request.invalid:
            self.answers.complaints.append(f"an invalid request was accepted: {ids}")
        if len(ids) != len(request.ids) or not all(ids):
            self.answers.complaints.append(f"{len(ids)} ids for {len(request.ids)} events")
        for expected, given in zip(request.ids, ids, strict=False):
            if expected is not None and expected != given:
                self.answers.complaints.append(f"the id {given} is not {expected}")
        self.answers.confirmed.update(ids)

    def _refused(self, request: EventRequest, status: int, body: bytes) -> None:
        if not request.invalid:
            self.answers.complaints.append(f"a valid request was refused: {status} {body!r}")
        # An event's own id may also be in a valid request.
        self.answers.refused.update(filter(None, request.ids))


def _code(status: int, body: bytes) -> str:
    if status in (0, 200):
        return "ok" if status else "no answer"
    try:
        return str(json.loads(body)["code"])
    except (ValueError, LookupError, TypeError):
        return str(status)
