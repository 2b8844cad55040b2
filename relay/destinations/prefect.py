"""Prefect: creates one flow run of a deployment for each event.

The server keeps an `idempotency_key` for as long as the flow run exists. For a repeated key it
answers 200 with the existing run instead of 201, whatever the rest of the request says (measured).
Its events endpoint is not used: it answers 204 before it has stored anything (measured: a crash
loses all of it).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import quote
from uuid import UUID

from relay.destinations.http_endpoint import HttpAnswer, HttpEndpoint, unavailable
from relay.destinations.single_event import Content, content, hashed_id, json_string
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import REFUSED, TOO_LARGE, Delivered, Outcome, Reject
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
    # The server limits the parameters to 524,288 bytes, which include the parameter's name.
    event_bytes=524_288 - 256,
)

_CREATED = (HTTPStatus.OK, HTTPStatus.CREATED)
_NO_PATH = "Not Found"
"""The `detail` of a 404 for a path that Prefect's API does not have."""
_INVALID = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)

Credential = Callable[[], Awaitable[str]]


class Prefect:
    """Creates flow runs of one deployment.

    Args:
        endpoint: the API, its URL up to `/api`, or the Cloud's up to the workspace.
        deployment: its id, or its name as `flow/deployment`.
        credential: returns the current value of the Authorization header, empty for none.
        parameter: the flow's parameter that gets the event.
        what: send the whole event, or its data only.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        deployment: str,
        *,
        credential: Credential,
        parameter: str = "event",
        what: Content = "event",
    ) -> None:
        self._endpoint = endpoint
        self._deployment = deployment
        self._credential = credential
        self._parameter = parameter
        self._what = what
        self._id = _as_id(deployment)
        self._lookup_lock = asyncio.Lock()

    @property
    def traits(self) -> Traits:
        """The traits of a Prefect server."""
        return TRAITS

    def payload(self, event: Event) -> bytes:
        """The value of the flow's parameter, encoded as a JSON string.

        As plain JSON, the server would render anything in it that looks like a Prefect template.
        """
        return json_string(content(event, self._what))

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Create one flow run; `Delivered.reference` is its id."""
        headers = await self._headers()
        deployment = await self._deployment_id(headers)
        # Idempotency keys are per flow, and a flow may have several deployments.
        body = b'{"idempotency_key":"%b:%b","parameters":{%b:%b}}' % (
            deployment.encode(),
            hashed_id(event.id).encode(),
            json.dumps(self._parameter).encode(),
            b'{"__prefect_kind":"json","value":%b}' % payload,
        )
        path = f"/deployments/{deployment}/create_flow_run"
        answer = await self._endpoint.request("POST", path, headers, body)
        if answer.status == HTTPStatus.NOT_FOUND:
            # A deployment that is deleted and created again has a new id under the same name.
            self._id = _as_id(self._deployment)
        return _outcome(answer)

    async def _headers(self) -> Mapping[str, str]:
        credential = await self._credential()
        self._endpoint.register_secret(credential)
        optional = {"authorization": credential} if credential else {}
        return {"content-type": "application/json", "accept": "application/json", **optional}

    async def _deployment_id(self, headers: Mapping[str, str]) -> str:
        """The deployment's id, looked up once by its name."""
        async with self._lookup_lock:
            if self._id is None:
                self._id = await self._look_up(headers)
            return self._id

    async def _look_up(self, headers: Mapping[str, str]) -> str:
        flow, _, name = self._deployment.partition("/")
        path = f"/deployments/name/{quote(flow, safe='')}/{quote(name, safe='')}"
        answer = await self._endpoint.request("GET", path, headers)
        found = _as_id(str(answer.fields.get("id", "")))
        if answer.status == HTTPStatus.OK and found is not None:
            return found
        if _no_deployment(answer):
            raise Unavailable(
                f"Prefect has no deployment {self._deployment!r}",
                setting=DEPLOYMENT,
                proven=True,
                not_accepted=True,
            )
        raise unavailable(answer, address=PREFECT_URL, key=KEY)


def _outcome(answer: HttpAnswer) -> Outcome:
    run = answer.fields.get("id")
    if answer.status in _CREATED and isinstance(run, str) and _as_id(run) is not None:
        return Delivered(run, duplicate=answer.status == HTTPStatus.OK)
    if answer.status in _INVALID and answer.fields:
        return Reject(REFUSED, f"Prefect refuses the flow run: {answer.summary}")
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Reject(TOO_LARGE, f"the event is too large for Prefect: {answer.summary}")
    raise unavailable(
        answer, address=DEPLOYMENT if _no_deployment(answer) else PREFECT_URL, key=KEY
    )


def _no_deployment(answer: HttpAnswer) -> bool:
    """Whether Prefect misses the deployment, and not the path of the URL (measured)."""
    detail = answer.fields.get("detail")
    return answer.status == HTTPStatus.NOT_FOUND and detail not in (None, _NO_PATH)


def _as_id(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
