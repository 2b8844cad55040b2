"""Interprets the answers of Inngest's event API as outcomes.

Measured on self-hosted servers: a 400 stands for every error after the key was checked, including
the server's own; a wrong path answers 200 with a web page; a truncated array answers 200 for its
first part. So only one form of answer is a success, and an event is rejected only for error
messages that can have no other cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from relay.destinations.http_errors import retry_after
from relay.model.destination import BatchRefused, Unavailable
from relay.model.outcome import REFUSED, TOO_LARGE, Delivered, Outcome, Reject

URL = "RELAY_INNGEST_URL"
KEY = "RELAY_INNGEST_EVENT_KEY"


_KINDS = {"dev": "dev", "cloud": "start"}
"""A self-hosted `inngest start` calls itself `cloud` (recorded)."""

_TOO_LARGE = re.compile(r"event is over the max size", re.IGNORECASE)
_INVALID = re.compile(
    r"event name is (empty|reserved)|timestamp is (before|after) |json: cannot unmarshal "
    r"|event sessions? |exceeded max depth",
    re.IGNORECASE,
)
_BROKEN_JSON = re.compile(
    r"EOF|unexpected end of JSON|invalid character |expected comma", re.IGNORECASE
)
"""The array broke as JSON. Recorded: the event right before the break may be stored without being
reported, or dropped although it is valid."""

_ERROR_CHARACTERS = 200

_NOT_ACCEPTED = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Statuses that the server returns before it reads any event."""

_GATEWAY = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
"""Statuses by which a proxy reports that it does not reach the server."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; secrets in `text` are redacted, and a text too long for the API is truncated."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def fields(self) -> dict[str, Any]:
        """The body's JSON object; empty if it is none."""
        try:
            value = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def error(self) -> str:
        """The API's error message, or an empty string."""
        error = self.fields.get("error")
        return " ".join(error.split())[:_ERROR_CHARACTERS] if isinstance(error, str) else ""


def server_kind(headers: Mapping[str, str]) -> str | None:
    """`dev` or `start` for a self-hosted server of that kind, None if it does not say so."""
    return _KINDS.get(headers.get("x-inngest-server-kind", ""))


def from_proxy(answer: Answer) -> bool:
    """Whether a proxy reports that it does not reach the server, which may be restarting."""
    return answer.status in _GATEWAY and not _from_api(answer)


def interpret(answer: Answer, count: int, now: float) -> Sequence[Outcome]:
    """The outcomes of the `count` events that were sent; `now` is the time of day for dates.

    Raises:
        Unavailable: the answer does not prove an outcome for these events.
        BatchRefused: one of several events, or their total size, is at fault.
    """
    after = retry_after(answer.headers.get("retry-after"), now)
    match answer.status:
        case HTTPStatus.OK:
            return _accepted(answer, count)
        case HTTPStatus.BAD_REQUEST:
            return _bad_request(answer, count, after)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return _too_large(answer, count)
    raise _unavailable(answer, after)


def _accepted(answer: Answer, count: int) -> list[Outcome]:
    fields = answer.fields
    ids = fields.get("ids")
    if not fields:
        raise _no_success("200 with a body that is not the event API's")
    if fields.get("status") != HTTPStatus.OK or fields.get("error"):
        raise _no_success(f"200 with an error in the body: {answer.error or 'no message'}")
    if not isinstance(ids, list) or len(ids) != count:
        ids_count = len(ids) if isinstance(ids, list) else "no"
        raise _no_success(f"200 with ids for {ids_count} of {count} events")
    if not all(isinstance(event_id, str) and event_id for event_id in ids):
        raise _no_success("200 without an id for each event")
    return [Delivered(event_id) for event_id in ids]


def _bad_request(answer: Answer, count: int, after: float | None) -> list[Outcome]:
    error = answer.error
    if not error:
        # A proxy's 400, such as for plain HTTP on a TLS port, has no body of the API.
        raise Unavailable("400 that is not the event API's", setting=URL, after=after)
    if count > 1:
        ids = None if _BROKEN_JSON.search(error) else answer.fields.get("ids")
        raise BatchRefused(f"400: {error}", suspect=_suspect(ids, count))
    if _TOO_LARGE.search(error):
        return [Reject(TOO_LARGE, f"Inngest refuses the event for its size: {error}")]
    if _INVALID.search(error):
        return [Reject(REFUSED, f"Inngest refuses the event: {error}")]
    raise Unavailable(f"400: {error}", after=after)


def _suspect(ids: Any, count: int) -> int | None:
    """The position of the event after those that the answer reports as stored; None if unknown."""
    if not isinstance(ids, list):
        return None
    stored = sum(bool(one) for one in ids)
    return stored if stored < count else None


def _too_large(answer: Answer, count: int) -> list[Outcome]:
    if count > 1:
        raise BatchRefused("413: the request is too large", not_accepted=True)
    detail = f": {answer.error}" if answer.error else ""
    return [Reject(TOO_LARGE, f"the event alone is too large for an Inngest request{detail}")]


def _unavailable(answer: Answer, after: float | None) -> Unavailable:
    """Any other status: it says nothing about a single event."""
    error = answer.error or "no error message of the event API"
    return Unavailable(
        f"{answer.status}: {error}",
        after=after,
        setting=_setting(answer),
        proven=_proven(answer),
        not_accepted=answer.status in _NOT_ACCEPTED,
        disconnected=from_proxy(answer),
    )


def _setting(answer: Answer) -> str | None:
    """The setting to check, for an answer that indicates a misconfiguration."""
    about_keys = "key" in answer.error.lower()
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return KEY
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return KEY if about_keys else URL
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return KEY if about_keys else None
    return URL if answer.status < HTTPStatus.BAD_REQUEST else None


def _proven(answer: Answer) -> bool:
    """Whether no event can be the cause."""
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        # Besides, splitting the batch would answer a request for fewer requests with more of them.
        return True
    return answer.status == HTTPStatus.UNAUTHORIZED and _from_api(answer)


def _from_api(answer: Answer) -> bool:
    return bool(answer.error) and answer.fields.get("status") == answer.status


def _no_success(reason: str) -> Unavailable:
    # Not `not_accepted`: some server accepted the request, so events may be stored.
    return Unavailable(reason, setting=URL)
