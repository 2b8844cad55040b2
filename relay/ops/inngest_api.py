"""Reads an Inngest server's API: stored events and their runs, apps and their functions.

Recorded on self-hosted servers (tests/recordings). In version 1 an error is an HTTP 200 as well,
with the actual status in the body, and some answers are cached: runs for 15 s, the empty list too.
Version 2 has HTTP statuses, caches nothing and leaves out an empty list.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

from relay.destinations.inngest.answers import Answer
from relay.destinations.inngest.read_back import LATEST, PAGE

RUN_PAGE = 40
RUN_PAGES = 5
"""Runs of one event: a page has at most 40, and at most this many pages are read."""

SETTLE = 60.0
"""Seconds after which an event without a run has none: until then it may wait for its turn."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME = 10
"""Characters of an internal id that are its time, 32 values each."""

_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Queries(Protocol):
    """Sends requests to the server; see `relay.destinations.inngest.queries`."""

    @property
    def api_v2(self) -> str:
        """The path of version 2 of the API."""
        ...

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET a path of the API.

        Raises:
            relay.model.destination.Unavailable: there was no answer.
        """
        ...


class UnusableAnswer(Exception):
    """The server answered, and not with what was asked for. The text is a message for the user."""


class InngestApi:
    """Reads one server. Every method raises `Unavailable` if the server does not answer.

    Args:
        queries: sends the requests to the server.
        clock: the time of day.
    """

    def __init__(self, queries: Queries, clock: Callable[[], float] = time.time) -> None:
        self._queries = queries
        self._clock = clock

    async def event(self, reference: str) -> Mapping[str, Any] | None:
        """The stored event with this internal id; None if it is not stored.

        Raises:
            UnusableAnswer: the answer has no event.
        """
        event = await self._data(f"/v1/events/{reference}")
        return event if isinstance(event, dict) else None

    async def events(
        self,
        after: float,
        *,
        before: float | None = None,
        name: str = "",
        cursor: str = "",
        limit: int = PAGE,
    ) -> Sequence[Mapping[str, Any]]:
        """One page of stored events, the newest internal id first; an empty page is the last.

        Args:
            after: only events received since, in epoch seconds.
            before: only events received earlier.
            name: only events of this name.
            cursor: only events whose internal id is less.
            limit: the most events.

        Raises:
            UnusableAnswer: the answer has no events.
        """
        query = {
            # Without it, only events of the last hour are listed.
            "received_after": _utc(after),
            "received_before": "" if before is None else _utc(before),
            "limit": str(limit),
            "name": name,
            "cursor": cursor,
        }
        found = await self._data("/v1/events", {n: value for n, value in query.items() if value})
        page = objects(found)
        if not all(is_ulid(one.get("internal_id")) for one in page):
            raise UnusableAnswer("the server lists an event without an internal id")
        return page

    async def runs(self, reference: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """The runs of the event, and what may be missing.

        Raises:
            UnusableAnswer: the server has neither version of the API, or refuses the key.
        """
        path = f"{self._queries.api_v2}/events/{reference}/runs"
        found, cursor = list[Mapping[str, Any]](), ""
        for _ in range(RUN_PAGES):
            query = {"limit": str(RUN_PAGE)} | ({"cursor": cursor} if cursor else {})
            page = await self.page_of_api_v2(path, query)
            if page is None:
                return await self._runs_of_api_v1(reference)
            some, cursor = page
            found += some
            if not cursor:
                return found, None
        return found, f"only the first {len(found)} runs of {reference} were read"

    async def page_of_api_v2(
        self, path: str, query: Mapping[str, str]
    ) -> tuple[Sequence[Mapping[str, Any]], str] | None:
        """A page of a list, with the cursor of the next; None if the server has no such list.

        Raises:
            UnusableAnswer: the server refuses the key.
        """
        answer = await self._queries.get(path, query)
        if answer.status in _DENIED:
            raise UnusableAnswer(_refused(answer))
        fields = answer.fields
        if answer.status != HTTPStatus.OK or "metadata" not in fields:
            return None
        page = fields.get("page")
        cursor = page.get("cursor") if isinstance(page, dict) else None
        # The data is left out if there is none.
        return objects(fields.get("data")), cursor if isinstance(cursor, str) else ""

    async def _runs_of_api_v1(
        self, reference: str
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        # Another query is another entry in the server's cache.
        query = {"at": f"{self._clock():.3f}"}
        runs = objects(await self._data(f"/v1/events/{reference}/runs", query))
        if runs:
            return runs, None
        return (), (
            "the server has no runs in version 2 of its API, and version 1 lists the run of a batch"
            " of events for one of them only"
        )

    async def _data(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The `data` of the response; None if the resource does not exist."""
        answer = await self._queries.get(path, query)
        fields = answer.fields
        if "error" in fields or answer.status != HTTPStatus.OK:
            if fields and fields.get("status", answer.status) == HTTPStatus.NOT_FOUND:
                return None
        elif "data" in fields:
            return fields["data"]
        raise UnusableAnswer(_refused(answer))


def is_ulid(value: Any) -> bool:
    """Whether it is text of the form of the server's internal ids."""
    return isinstance(value, str) and _ULID.fullmatch(value) is not None


def ulid_time(ulid: str) -> float:
    """When this internal id was given, in epoch seconds."""
    milliseconds = 0
    for character in ulid[:_TIME].upper():
        milliseconds = milliseconds * len(_ALPHABET) + _ALPHABET.index(character)
    return milliseconds / 1_000


def objects(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; empty if the value is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def read_time(text: Any) -> float | None:
    """Epoch seconds of a time in an answer; None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _utc(at: float) -> str:
    """A time for a query. The server compares times as text, so it is UTC, to the second."""
    return datetime.fromtimestamp(int(min(max(at, 0.0), LATEST)), UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def _refused(answer: Answer) -> str:
    if answer.status in _DENIED:
        return "the signing key is missing or wrong: set RELAY_INNGEST_SIGNING_KEY"
    status = answer.fields.get("status", answer.status)
    return f"{status}: {answer.error or 'not a response of the API'}"
