"""Prefect: one flow run of a deployment for each event.

The server keeps an `idempotency_key` for the life of the flow run and answers 200 with the run
there is instead of 201, whatever else the request says (measured). Its events endpoint is not used:
it answers 204 before it has stored anything (measured, all lost in a crash).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import quote
from uuid import UUID

from relay.destinations.http_endpoint import HttpAnswer, HttpPeer, unavailable
from relay.destinations.single_event import (
    REFUSED,
    TOO_LARGE,
    Content,
    content,
    hashed,
    json_string,
)
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from relay.model.traits import WHILE_IT_EXISTS, Traits

PREFECT_URL = "RELAY_PREFECT_API_URL"
KEY = "RELAY_PREFECT_API_KEY"
DEPLOYMENT = "RELAY_PREFECT_DEPLOYMENT"

TRAITS = Traits(
    name="Prefect",
    recognised_by="the flow run's idempotency key",
    dedup_window=WHILE_IT_EXISTS,
    durable=True,
    reports_duplicates=True,
    # The server's limit is on the parameters, 524,288 bytes; they hold a name beside the event.
    event_bytes=524_288 - 256,
)

_NEW = (HTTPStatus.OK, HTTPStatus.CREATED)
_INVALID = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)

Credential = Callable[[], Awaitable[str]]


class Prefect:
    """Starts flow runs of one deployment.

    Args:
        peer: the API, its URL up to `/api`, or the Cloud's up to the workspace.
        deployment: its id, or `flow/deployment` by names.
        credential: the Authorization header's value as it is now, empty for none.
        parameter: name of the flow's parameter that gets the event.
        what: the whole event, or its data only.
    """

    def __init__(
        self,
        peer: HttpPeer,
        deployment: str,
        *,
        credential: Credential,
        parameter: str = "event",
        what: Content = "event",
    ) -> None:
        self._peer = peer
        self._deployment = deployment
        self._credential = credential
        self._parameter = parameter
        self._what = what
        self._id = _as_id(deployment)
        self._finding = asyncio.Lock()

    @property
    def traits(self) -> Traits:
        """What the server promises."""
        return TRAITS

    def payload(self, event: Event) -> bytes:
        """The value of the flow's parameter, as the JSON string that it travels as.

        Sent as it is, the server would render what in it looks like a template of its own.
        """
        return json_string(content(event, self._what))

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One flow run; `Delivered.reference` is its id."""
        headers = await self._headers()
        deployment = await self._find(headers)
        # A key is the flow's, and a flow may have several deployments.
        body = b'{"idempotency_key":"%b:%b","parameters":{%b:%b}}' % (
            deployment.encode(),
            hashed(event.id).encode(),
            json.dumps(self._parameter).encode(),
            b'{"__prefect_kind":"json","value":%b}' % payload,
        )
        path = f"/deployments/{deployment}/create_flow_run"
        answer = await self._peer.ask("POST", path, headers, body)
        if answer.status == HTTPStatus.NOT_FOUND:
            # Deployments that are found by name get a new id when they are made anew.
            self._id = _as_id(self._deployment)
        return _outcome(answer)

    async def _headers(self) -> Mapping[str, str]:
        credential = await self._credential()
        self._peer.register_secret(credential.rpartition(" ")[2])
        given = {"authorization": credential} if credential else {}
        return {"content-type": "application/json", "accept": "application/json", **given}

    async def _find(self, headers: Mapping[str, str]) -> str:
        """The deployment's id, asked for once by its name."""
        async with self._finding:
            if self._id is None:
                self._id = await self._by_name(headers)
            return self._id

    async def _by_name(self, headers: Mapping[str, str]) -> str:
        flow, _, name = self._deployment.partition("/")
        path = f"/deployments/name/{quote(flow, safe='')}/{quote(name, safe='')}"
        answer = await self._peer.ask("GET", path, headers)
        found = _as_id(str(answer.fields.get("id", "")))
        if answer.status == HTTPStatus.OK and found is not None:
            return found
        if answer.status == HTTPStatus.NOT_FOUND and answer.fields:
            raise Unavailable(
                f"Prefect knows no deployment {self._deployment!r}",
                setting=DEPLOYMENT,
                proven=True,
                not_accepted=True,
            )
        raise unavailable(answer, address=PREFECT_URL, key=KEY)


def _outcome(answer: HttpAnswer) -> Outcome:
    run = answer.fields.get("id")
    if answer.status in _NEW and isinstance(run, str) and _as_id(run) is not None:
        return Delivered(run, duplicate=answer.status == HTTPStatus.OK)
    if answer.status in _INVALID and answer.fields:
        return Reject(REFUSED, f"Prefect refuses the flow run: {answer.shown}")
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Reject(TOO_LARGE, f"the event is too large for Prefect: {answer.shown}")
    own_words = answer.status == HTTPStatus.NOT_FOUND and answer.fields
    raise unavailable(answer, address=DEPLOYMENT if own_words else PREFECT_URL, key=KEY)


def _as_id(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
