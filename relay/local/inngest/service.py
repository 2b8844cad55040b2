"""The paths of the server beside its APIs, and which path leads where."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from relay.local.inngest.api_v2 import ApiV2
from relay.local.inngest.event_api import EventApi, Mode
from relay.local.inngest.faults import Fault
from relay.local.inngest.read_back import ReadBack
from relay.local.inngest.records import Function, function_id
from relay.local.inngest.request import HTML, JSON, TEXT, Reply, Request, as_json

KIND = "X-Inngest-Server-Kind"
KINDS = {"dev": "dev", "start": "cloud"}
_PAGE = b"<!DOCTYPE html><html><head><title>Inngest</title></head><body></body></html>\n"
_BEARER = re.compile(r"bearer (?:signkey-\w+-)?([0-9a-zA-Z]+)", re.IGNORECASE)
_V2 = re.compile(r"(?:/api)?/v2(/.*)?")
_V1 = re.compile(r"/v[01](/.*)?")


class Service:
    """Answers every request but the control ones.

    Args:
        mode: `dev` needs no signing key; `start` requires it for reads.
        signing_key: what `start` requires. An empty one rejects every read.
        functions: the registered functions.
        events: accepts events.
        read_back: the API v1.
        api_v2: the API v2.
    """

    def __init__(
        self,
        mode: Mode,
        signing_key: str,
        functions: Sequence[Function],
        events: EventApi,
        read_back: ReadBack,
        api_v2: ApiV2,
    ) -> None:
        self._mode = mode
        self._keys = None if mode == "dev" else _accepted(signing_key)
        self._functions = functions
        self._events = events
        self._read_back = read_back
        self._api_v2 = api_v2

    def answer(self, request: Request, fault: Fault | None) -> Reply:
        """Carry the request out as far as the fault allows, and respond."""
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            # The preflight of a browser is answered before anything of the server's own.
            return Reply(200, b"", "")
        reply = self._route(request, fault)
        body = b"" if request.method == "HEAD" else reply.body
        return replace(reply, body=body, headers={KIND: KINDS[self._mode], **reply.headers})

    def _route(self, request: Request, fault: Fault | None) -> Reply:
        path = request.raw_path
        if _V1.fullmatch(path):
            return self._v1(path, request)
        if below := _V2.fullmatch(path):
            below_path = below[1] or "/"
            return self._with_key(request, lambda: self._api_v2.answer(below_path, request))
        if path.endswith("/") and path != "/":
            return _without_slash(path, request.method)
        if path.startswith("/e/") and "/" not in path[3:]:
            if request.method != "POST":
                return _not_allowed()
            return self._events.answer(path[3:], request, fault)
        return self._own(path, request)

    def _v1(self, path: str, request: Request) -> Reply:
        if not self._read_back.has(path):
            return _not_found()
        if request.method != "GET":
            return _not_allowed()
        return self._with_key(request, lambda: self._read_back.answer(request))

    def _own(self, path: str, request: Request) -> Reply:
        if path not in ("/health", "/dev"):
            return Reply(200, _PAGE, HTML)
        if request.method != "GET":
            return _not_allowed()
        if path == "/health":
            return as_json({"status": 200, "message": "OK"}, content_type=JSON)
        return self._with_key(request, self._dev)

    def _with_key(self, request: Request, answer: Callable[[], Reply]) -> Reply:
        if self._keys is not None:
            match = _BEARER.fullmatch(request.headers.get("authorization", ""))
            if match is None or match[1] not in self._keys:
                return Reply(401, b"Authentication failed\n", TEXT)
        return answer()

    def _dev(self) -> Reply:
        if self._mode != "dev":
            return _not_found()
        functions = [
            {
                "id": function_id(function.app, function.name),
                "name": function.name,
                "slug": f"{function.app}-{function.name}",
                "triggers": [{"event": function.on}],
            }
            for function in self._functions
        ]
        content_type = f"{JSON}; charset=utf-8"
        return as_json({**_DEV, "functions": functions}, content_type=content_type)


def _accepted(signing_key: str) -> frozenset[str]:
    """What may stand for the key: itself, or the SHA-256 of its bytes."""
    key = re.sub(r"^signkey-\w+-", "", signing_key)
    if not key:
        return frozenset()
    try:
        hashed = hashlib.sha256(bytes.fromhex(key)).hexdigest()
    except ValueError:
        return frozenset((key,))
    return frozenset((key, hashed))


def _without_slash(path: str, method: str) -> Reply:
    location = path.rstrip("/")
    if method != "GET":
        return Reply(303, b"", "", {"Location": location})
    link = f'<a href="{location}">See Other</a>.\n\n'
    return Reply(303, link.encode(), HTML, {"Location": location})


def _not_found() -> Reply:
    return Reply(404, b"404 page not found\n", TEXT)


def _not_allowed() -> Reply:
    return Reply(405, b"", "")


_DEV: dict[str, Any] = {
    "version": "dev-",
    "authed": False,
    "startOpts": {
        "dir": "",
        "urls": [],
        "autodiscover": False,
        "poll": False,
        "poll_interval": 5,
        "tick": 150_000_000,
        "retry_interval": 0,
        "queue_workers": 100,
        "require_keys": False,
        "connectGatewayPort": 8289,
        "connectGatewayHost": "127.0.0.1",
        "connectGRPCConfig": {
            "Gateway": {"IP": "127.0.0.1", "Port": 50052},
            "Executor": {"IP": "127.0.0.1", "Port": 50053},
        },
        "NoUI": False,
        "persist": False,
        "redis_uri": "",
        "postgres_uri": "",
        "postgres-max-idle-conns": 10,
        "postgres-max-open-conns": 100,
        "postgres-conn-max-idle-time": 5,
        "postgres-conn-max-lifetime": 30,
        "sqlite_dir": "",
        "debugAPIPort": 7777,
    },
    "handlers": None,
    "isSingleNodeService": False,
    "isMissingSigningKey": False,
    "isMissingEventKeys": False,
    "features": {
        "FEATURE_CEL_SEARCH": False,
        "enable-step-metadata": True,
        "run-details-v4": True,
    },
}
