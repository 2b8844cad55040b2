"""Sends the recorded requests to a server, in order and as far apart as they were recorded."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.local.inngest.recording import (
    EVENT_KEY,
    RECORDING,
    SIGNING_KEY,
    Answer,
    Exchange,
    Kind,
    Names,
    exchanges,
)

POLL = 0.02
LONGEST = 30.0
IDLE = 2.0
_ULID = re.compile(r"/([0-7][0-9A-HJKMNP-TV-Z]{25})", re.IGNORECASE)
_SECONDS = re.compile(r"(\d+) s later")


class Clock(Protocol):
    """The clock of the server."""

    def time(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Replay:
    """One replay of the recording.

    Args:
        kind: the kind of server.
        client: sends requests to it, and closes each connection after its answer.
        clock: measures and lets pass the time between two requests.
        register: registers the functions of the recording; called before the first run.
        exact: also compare what a real server decides by chance.
        recording: the recording.
    """

    def __init__(
        self,
        kind: Kind,
        client: httpx.AsyncClient,
        clock: Clock,
        register: Callable[[], Awaitable[None]],
        *,
        exact: bool = True,
        recording: Path = RECORDING,
    ) -> None:
        self._recording = recording
        self._exact = exact
        self._kind: Kind = kind
        self._client = client
        self._clock = clock
        self._register = register
        self._names = Names()
        self._sent_at: dict[str, float] = {}
        self._last_at = clock.time()
        self._acknowledged: list[str] = []
        self._group = ""
        self._registered = False
        self._polls = 0
        self._stored_early = False

    async def differences(self) -> dict[int, list[str]]:
        """What differs from the recording, by the number of the exchange."""
        found = {}
        for exchange in exchanges(self._kind, self._recording):
            await self._prepare(exchange)
            answer = await self._send(exchange)
            expected = exchange.answer
            if not self._exact:
                expected, answer = self._without_races(exchange, answer)
            differences = self._names.differences(expected, answer, exchange)
            if differences:
                found[exchange.number] = [exchange.about, *differences]
        return found

    def _without_races(self, exchange: Exchange, answer: Answer) -> tuple[Answer, Answer]:
        """Both answers without what a real server decides by chance."""
        expected = exchange.answer
        if exchange.varies:
            return expected.without("ids"), answer.without("ids")
        if exchange.about == "not yet stored":
            self._stored_early = "error" not in answer.body
            return (answer, answer) if self._stored_early else (expected, answer)
        if exchange.about == "found" and self._stored_early:
            # Then this answer comes out of the cache.
            return Answer(200, {}, expected.body), Answer(answer.status, {}, answer.body)
        return expected, answer

    async def _send(self, exchange: Exchange) -> Answer:
        path = self._names.path(exchange)
        await self._clock.sleep(0.001)
        self._last_at = self._clock.time()
        self._sent_at.setdefault(exchange.path, self._last_at)
        answer = await self._request(exchange.method, path, exchange.headers, exchange.body)
        if exchange.method == "POST" and isinstance(answer.body, dict):
            ids = answer.body.get("ids") or [_event_id(answer.body)]
            self._acknowledged = [one for one in ids if one] or self._acknowledged
        return answer

    async def _request(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> Answer:
        url = self._client.base_url.copy_with(raw_path=path.encode())
        answer = await self._client.request(method, url, headers=headers, content=body or None)
        return Answer.of(answer.status_code, dict(answer.headers), answer.content)

    async def _prepare(self, exchange: Exchange) -> None:
        """Wait as the recording says."""
        if exchange.group != self._group:
            await self._begin(exchange.group)
        opening = exchange.after.partition(":")[0]
        if opening == "stored":
            await self._stored(exchange)
        elif opening == "ran":
            await self._ran(exchange)
        elif match := _SECONDS.fullmatch(opening):
            first = "first look" in exchange.after
            since = self._sent_at[exchange.path] if first else self._last_at
            await self._clock.sleep(since + float(match[1]) - self._clock.time())

    async def _begin(self, group: str) -> None:
        self._group = group
        if group == "readback.setup":
            # It has stored all before when it stores this one. When idle it looks every 250 ms.
            body = b'{"name":"replay/idle"}'
            answer = await self._request("POST", f"/e/{EVENT_KEY}", {}, body)
            await self._until(self._is_stored(answer.body["ids"][0]))
            await self._clock.sleep(IDLE)
        if group.startswith("runs.") and not self._registered:
            self._registered = True
            await self._register()

    async def _stored(self, exchange: Exchange) -> None:
        if "every event" in exchange.after:
            await self._until(self._has_as_many(exchange))
            return
        named = _ULID.search(self._names.path(exchange))
        for event_id in [named[1]] if named else self._acknowledged:
            await self._until(self._is_stored(event_id))

    def _is_stored(self, event_id: str) -> Callable[[], Awaitable[bool]]:
        async def stored() -> bool:
            answer = await self._poll(f"/v1/events/{event_id}?poll={self._polls}")
            return "error" not in answer

        return stored

    def _has_as_many(self, exchange: Exchange) -> Callable[[], Awaitable[bool]]:
        async def complete() -> bool:
            answer = await self._poll(self._names.path(exchange))
            return len(answer.get("data", ())) >= len(exchange.answer.body["data"])

        return complete

    async def _ran(self, exchange: Exchange) -> None:
        named = _ULID.search(self._names.path(exchange))
        assert named is not None
        count = 2 if "both" in exchange.after else 1

        async def ended() -> bool:
            runs = (await self._poll(f"/api/v2/events/{named[1]}/runs")).get("data", ())
            return (
                sum(run["status"] in ("COMPLETED", "FAILED", "CANCELLED") for run in runs) == count
            )

        await self._until(ended)

    async def _poll(self, path: str) -> dict[str, Any]:
        """The body of an answer that the server does not cache for a recorded request."""
        self._polls += 1
        headers = {"authorization": f"Bearer {SIGNING_KEY}"} if self._kind == "start" else {}
        body = (await self._request("GET", path, headers)).body
        return body if isinstance(body, dict) else {}

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return when the condition holds, or when it has not for too long: a difference."""
        started = self._clock.time()
        while self._clock.time() - started < LONGEST and not await condition():
            await self._clock.sleep(POLL)


def _event_id(body: dict[str, Any]) -> str:
    data = body.get("data")
    return str(data.get("eventId", "")) if isinstance(data, dict) else ""
