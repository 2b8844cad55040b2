"""The answers of the event API, in the only forms that no SDK mistakes for something else.

Measured with the JavaScript, Python and Go SDKs (docs/gateway.md): a success is 200 with one id for
each event. A failure has an `error` and a `status` in its body. 202, 204, 429 and an empty body are
never sent: one SDK or another takes each of them for a success, or gives up at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from starlette.responses import JSONResponse, Response


class Refused(Exception):
    """The request is refused, and nothing of it was sent.

    Attributes:
        status: the HTTP status: a 4xx for what only the sender can change, 503 for what may end.
        code: stable, for machines.
    """

    def __init__(self, status: HTTPStatus, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


def accepted(ids: Sequence[str]) -> Response:
    """200: every event is in the queue."""
    return JSONResponse({"ids": ids, "status": HTTPStatus.OK})


def failure(status: HTTPStatus, code: str, reason: str) -> Response:
    """An error: the events are not all in the queue."""
    return JSONResponse({"error": reason, "code": code, "status": status}, status_code=status)


def refusal(refused: Refused) -> Response:
    """The answer to a refused request."""
    return failure(refused.status, refused.code, str(refused))


def unavailable(code: str, reason: str) -> Refused:
    """503: the same request may succeed later. The SDKs send it again."""
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, code, reason)
