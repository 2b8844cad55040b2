"""Argo Workflows: one Workflow object for each event, made from a template, named after the event.

The object's name is what makes it happen once, until the object is deleted or collected. A 409
alone proves nothing, because a quota may say it too: the workflow is looked up.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

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

ARGO_URL = "RELAY_ARGO_URL"
TOKEN = "RELAY_ARGO_TOKEN"  # noqa: S105 - a setting's name
TEMPLATE = "RELAY_ARGO_TEMPLATE"

TRAITS = Traits(
    name="Argo Workflows",
    recognised_by="the workflow's name",
    dedup_window=WHILE_IT_EXISTS,
    durable=True,
    reports_duplicates=True,
    # etcd takes 1.5 MiB for the whole object, in which Argo keeps its own notes as well.
    event_bytes=1_000_000,
)

Kind = Literal["WorkflowTemplate", "ClusterWorkflowTemplate"]

_INVALID = 3
"""gRPC's code InvalidArgument, in the body of the gateway's answer."""


class Argo:
    """Makes workflows out of one template.

    Args:
        peer: the Argo server.
        namespace: where workflows are made.
        template: the template's name.
        kind: whether it is the namespace's or the cluster's.
        credential: the Authorization header's value as it is now, empty for none.
        parameter: name of the workflow's parameter that gets the event, as JSON text.
        what: the whole event, or its data only.
        conflict: called with an event whose name was used for another content.
    """

    def __init__(
        self,
        peer: HttpPeer,
        namespace: str,
        template: str,
        *,
        credential: Callable[[], Awaitable[str]],
        kind: Kind = "WorkflowTemplate",
        parameter: str = "event",
        what: Content = "event",
        conflict: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self._peer = peer
        self._namespace = namespace
        self._path = f"/api/v1/workflows/{quote(namespace, safe='')}"
        self._template = {"name": template, "clusterScope": kind == "ClusterWorkflowTemplate"}
        self._credential = credential
        self._parameter = parameter
        self._what = what
        self._conflict = conflict

    @property
    def traits(self) -> Traits:
        """What the server promises."""
        return TRAITS

    def payload(self, event: Event) -> bytes:
        """The parameter's value, as the JSON string that it travels as."""
        return json_string(content(event, self._what))

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One workflow; `Delivered.reference` is its name."""
        name = hashed(event.id)
        headers = await self._headers()
        answer = await self._peer.ask("POST", self._path, headers, self._object(name, payload))
        if answer.status == HTTPStatus.OK and _name(answer) == name:
            return Delivered(name)
        if answer.status == HTTPStatus.CONFLICT:
            return await self._verify(event, name, payload, headers, answer)
        return _refused(answer)

    def _object(self, name: str, payload: bytes) -> bytes:
        before = json.dumps(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "sqs-relay"}},
            }
        )[:-1]
        return b'{"workflow":%b,"spec":{"workflowTemplateRef":%b,"arguments":%b}}}' % (
            before.encode(),
            json.dumps(self._template).encode(),
            b'{"parameters":[{"name":%b,"value":%b}]}'
            % (json.dumps(self._parameter).encode(), payload),
        )

    async def _headers(self) -> Mapping[str, str]:
        credential = await self._credential()
        self._peer.register_secret(credential.rpartition(" ")[2])
        given = {"authorization": credential} if credential else {}
        return {"content-type": "application/json", "accept": "application/json", **given}

    async def _verify(
        self,
        event: Event,
        name: str,
        payload: bytes,
        headers: Mapping[str, str],
        refusal: HttpAnswer,
    ) -> Outcome:
        """Whether the workflow that is said to exist does."""
        answer = await self._peer.ask("GET", f"{self._path}/{name}", headers)
        if answer.status == HTTPStatus.OK and _name(answer) == name:
            if self._value(answer) not in (None, json.loads(payload)):
                self._conflict(event)
            return Delivered(name, duplicate=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise Unavailable(
                f"Argo says that {name} exists and does not know it: {refusal.shown}",
                after=refusal.after,
                not_accepted=True,
            )
        raise unavailable(answer, address=ARGO_URL, key=TOKEN)

    def _value(self, answer: HttpAnswer) -> Any:
        spec = answer.fields.get("spec") or {}
        parameters = (spec.get("arguments") or {}).get("parameters") or []
        return next((p.get("value") for p in parameters if p.get("name") == self._parameter), None)


def _name(answer: HttpAnswer) -> Any:
    metadata = answer.fields.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def _refused(answer: HttpAnswer) -> Outcome:
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Reject(TOO_LARGE, f"the event is too large for Argo: {answer.shown}")
    template = "template" in str(answer.fields.get("message", "")).lower()
    if answer.status == HTTPStatus.BAD_REQUEST and answer.fields.get("code") == _INVALID:
        if template:
            raise Unavailable(f"Argo answers {answer.shown}", setting=TEMPLATE, not_accepted=True)
        return Reject(REFUSED, f"Argo refuses the workflow: {answer.shown}")
    raise unavailable(answer, address=TEMPLATE if template else ARGO_URL, key=TOKEN)
