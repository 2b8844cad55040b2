"""The apps and their functions in version 2 of the API, and what all its lists have in common."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from relay.local.inngest.read_back import iso
from relay.local.inngest.records import Function, function_id

DEFAULT_PAGE = 20
MAX_PAGE = 100
SYNCED_AT = 1_796_000_000.0
"""When each app was registered: they are arguments here, and have no such time."""

_SYNC = {"framework": "fast_api", "sdkLanguage": "py", "sdkVersion": "v0.5.19"}
_UNLIMITED = {"limit": {"isPlanLimit": True, "value": -1}, "scope": "ACCOUNT"}


class Problem(Exception):
    """An error of the API, with its HTTP status and its code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def read_limit(query: Mapping[str, str], most: int) -> int:
    """The page size that the query asks for.

    Raises:
        Problem: it is not a number, or out of bounds.
    """
    text = query.get("limit", "") or "0"
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        message = f'parsing field "limit": strconv.ParseInt: parsing "{text}": invalid syntax'
        raise Problem(400, "api_error", message)
    limit = int(text) or DEFAULT_PAGE
    if limit < 0:
        raise Problem(400, "invalid_field_format", "Limit must be at least 1")
    if limit > most:
        raise Problem(400, "invalid_field_format", f"Limit cannot exceed {most}")
    return limit


class Apps:
    """Answers `/apps` and the paths below it.

    Args:
        functions: the registered functions; the list may change.
    """

    def __init__(self, functions: Sequence[Function]) -> None:
        self._functions = functions

    def fields(
        self, app: str | None, query: Mapping[str, str], *, functions: bool
    ) -> dict[str, Any]:
        """The fields of the answer: all apps, one app, or its functions.

        Raises:
            Problem: the query is invalid, or there is no such app.
        """
        if app is None:
            return _page([(app_id(name), self._app(name)) for name in self._names()], query)
        if not app:
            raise Problem(400, "missing_field", "App ID is required")
        if functions:
            mine = [one for one in self._functions if one.app == app]
            return _page([(function_id(app, one.name), _function(one)) for one in mine], query)
        if app not in self._names():
            raise Problem(404, "not_found", "App not found")
        return {"data": self._app(app)}

    def _names(self) -> list[str]:
        return list(dict.fromkeys(one.app for one in self._functions))

    def _app(self, name: str) -> dict[str, Any]:
        return {
            "createdAt": iso(SYNCED_AT),
            "functionCount": sum(one.app == name for one in self._functions),
            "id": name,
            "latestSync": {**_SYNC, "url": f"http://localhost/{name}"},
            "method": "SERVE",
            "name": name,
        }


def app_id(name: str) -> str:
    """The id by which the server orders the app and pages on from it (recorded)."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _page(
    ordered: Sequence[tuple[str, dict[str, Any]]], query: Mapping[str, str]
) -> dict[str, Any]:
    """One page, in the order of the ids. The cursor is the id of the page's last."""
    limit = read_limit(query, MAX_PAGE)
    cursor = query.get("cursor", "")
    if cursor and not _is_uuid(cursor):
        raise Problem(400, "invalid_field_format", "Cursor is invalid")
    rows = sorted((row for row in ordered if row[0] > cursor), key=lambda row: row[0])
    shown = rows[:limit]
    page: dict[str, Any] = {"limit": limit}
    if len(rows) > limit:
        page |= {"cursor": shown[-1][0], "hasMore": True}
    return {**({"data": [row for _, row in shown]} if shown else {}), "page": page}


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _function(function: Function) -> dict[str, Any]:
    batch = {"eventsBatch": {"maxSize": function.size, "timeout": f"{function.wait:g}s"}}
    cancel = {"cancellations": [{"event": function.cancel_on}]} if function.cancel_on else {}
    return {
        "app": {"id": function.app},
        "configuration": {
            **cancel,
            **(batch if function.batched else {}),
            "concurrency": [_UNLIMITED],
            "retries": {"isDefault": False} if function.fails else {"isDefault": True, "value": 4},
        },
        "id": function.name,
        "name": function.name,
        "slug": function.name,
        "triggers": [{"type": "EVENT", "value": function.on}],
    }
