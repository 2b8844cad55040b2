"""What a status means that says nothing about an event: an outage, a wrong key, a wrong address."""

from __future__ import annotations

from http import HTTPStatus

from relay.destinations.http_peer import HttpAnswer
from relay.message import Unavailable

_UNTAKEN = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_SLOWER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def unavailable(answer: HttpAnswer, *, address: str, key: str | None) -> Unavailable:
    """The answer as an error of the destination as a whole.

    `address` and `key` are the settings to look at. A 401 is about nobody but us, and a 429 or a
    503 that says how long to wait about nobody but the destination; all else needs a second
    witness, for a proxy's rule may dislike one event's content.
    """
    status = answer.status
    plea = status in _SLOWER and (status == _SLOWER[0] or answer.after is not None)
    return Unavailable(
        f"the destination answers {answer.shown}",
        after=answer.after,
        setting=_setting(status, address, key),
        proven=plea or status == HTTPStatus.UNAUTHORIZED,
        untaken=status in _UNTAKEN,
    )


def _setting(status: int, address: str, key: str | None) -> str | None:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return key or address
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE):
        return address
    # A redirect, or a success that is none: something else than the destination listens there.
    return address if status < HTTPStatus.BAD_REQUEST else None
