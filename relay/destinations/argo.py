"""Argo Workflows: creates one Workflow from a template for each event, named after the event.

The name makes a repeated start harmless until the object is deleted or garbage-collected. A 409
alone proves nothing, because a quota can cause it too: the workflow is looked up.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from relay.destinations.http_endpoint import HttpAnswer, HttpEndpoint, unavailable
from relay.destinations.single_event import Content, content, hashed_id, json_string
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import TOO_LARGE, Delivered, Outcome, Reject
from relay.model.traits import WHILE_IT_EXISTS, Traits

ARGO_URL = "RELAY_ARGO_URL"
TOKEN = "RELAY_ARGO_TOKEN"  # noqa: S105 - a setting's name
TEMPLATE = "RELAY_ARGO_TEMPLATE"
PARAMETER = "RELAY_ARGO_PARAMETER"
NAMESPACE = "RELAY_ARGO_NAMESPACE"

TRAITS = Traits(
    name="Argo Workflows",
    recognised_by="the workflow's name",
    dedup_window=WHILE_IT_EXISTS,
    durable=True,
    reports_duplicates=True,
    # etcd accepts 1.5 MiB for the whole object, which includes the status that Argo adds.
    event_bytes=1_000_000,
)

Kind = Literal["WorkflowTemplate", "ClusterWorkflowTemplate"]

_TOO_LARGE_WORDS = ("Request entity too large", "request is too large")
"""Kubernetes's words and etcd's, which Argo passes on with the status 400 and 500."""

_NO_QUOTA = "exceeded quota"
"""Kubernetes's words for a quota that is used up, which Argo passes on with the status 403."""

_INVALID_ARGUMENT = 3
"""gRPC's code, in the body of the gateway's answer."""


class Argo:
    """Creates workflows from one template.

    Args:
        endpoint: the Argo server.
        namespace: where workflows are created.
        template: the template's name.
        kind: whether it is the namespace's or the cluster's.
        credential: returns the current value of the Authorization header, empty for none.
        parameter: the workflow's parameter that gets the event, as JSON text.
        what: send the whole event, or its data only.
        on_conflict: called with an event whose workflow exists with other content.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        namespace: str,
        template: str,
        *,
        credential: Callable[[], Awaitable[str]],
        kind: Kind = "WorkflowTemplate",
        parameter: str = "event",
        what: Content = "event",
        on_conflict: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self._endpoint = endpoint
        self._namespace = namespace
        self._path = f"/api/v1/workflows/{quote(namespace, safe='')}"
        self._template = {"name": template, "clusterScope": kind == "ClusterWorkflowTemplate"}
        self._credential = credential
        self._parameter = parameter
        self._what = what
        self._on_conflict = on_conflict

    @property
    def traits(self) -> Traits:
        """The traits of an Argo server."""
        return TRAITS

    def payload(self, event: Event) -> bytes:
        """The parameter's value, encoded as a JSON string."""
        return json_string(content(event, self._what))

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Create one workflow; `Delivered.reference` is its name."""
        name = hashed_id(event.id)
        headers = await self._headers()
        answer = await self._endpoint.request(
            "POST", self._path, headers, self._object(name, payload)
        )
        if answer.status == HTTPStatus.OK and _name(answer) == name:
            return Delivered(name)
        if answer.status == HTTPStatus.CONFLICT:
            return await self._verify(event, name, payload, headers, answer)
        return _refused(answer)

    def _object(self, name: str, payload: bytes) -> bytes:
        head = json.dumps(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "sqs-relay"}},
            }
        )[:-1]
        return b'{"workflow":%b,"spec":{"workflowTemplateRef":%b,"arguments":%b}}}' % (
            head.encode(),
            json.dumps(self._template).encode(),
            b'{"parameters":[{"name":%b,"value":%b}]}'
            % (json.dumps(self._parameter).encode(), payload),
        )

    async def _headers(self) -> Mapping[str, str]:
        credential = await self._credential()
        self._endpoint.register_secret(credential)
        optional = {"authorization": credential} if credential else {}
        return {"content-type": "application/json", "accept": "application/json", **optional}

    async def _verify(
        self,
        event: Event,
        name: str,
        payload: bytes,
        headers: Mapping[str, str],
        refusal: HttpAnswer,
    ) -> Outcome:
        """Check that the workflow exists, as a 409 claims."""
        answer = await self._endpoint.request("GET", f"{self._path}/{name}", headers)
        if answer.status == HTTPStatus.OK and _name(answer) == name:
            if self._value(answer) not in (None, json.loads(payload)):
                self._on_conflict(event)
            return Delivered(name, duplicate=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise Unavailable(
                f"Argo answers that {name} exists, but it is not found: {refusal.summary}",
                after=refusal.after,
                not_accepted=True,
            )
        raise unavailable(answer, address=ARGO_URL, key=TOKEN)

    def _value(self, answer: HttpAnswer) -> Any:
        try:
            parameters = answer.fields["spec"]["arguments"]["parameters"]
            return next((p.get("value") for p in parameters if p["name"] == self._parameter), None)
        except (AttributeError, LookupError, TypeError):
            return None


def _name(answer: HttpAnswer) -> Any:
    metadata = answer.fields.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def _refused(answer: HttpAnswer) -> Outcome:
    message = str(answer.fields.get("message", ""))
    too_large = answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if too_large or any(words in message for words in _TOO_LARGE_WORDS):
        return Reject(TOO_LARGE, f"the event is too large for Argo: {answer.summary}")
    if _NO_QUOTA in message:
        raise Unavailable(
            f"Argo answers {answer.summary}", after=answer.after, proven=True, not_accepted=True
        )
    if answer.status == HTTPStatus.BAD_REQUEST and answer.fields.get("code") == _INVALID_ARGUMENT:
        # The event is only a parameter's value: what is invalid is most likely the template.
        setting = PARAMETER if message.startswith("spec.arguments.") else TEMPLATE
        raise Unavailable(f"Argo answers {answer.summary}", setting=setting, not_accepted=True)
    if answer.status == HTTPStatus.NOT_IMPLEMENTED:
        raise Unavailable(f"Argo answers {answer.summary}", setting=ARGO_URL, not_accepted=True)
    raise unavailable(answer, address=_missing(message), key=TOKEN)


def _missing(message: str) -> str:
    """The setting that names what Argo does not find."""
    if message.startswith("namespaces "):
        return NAMESPACE
    return TEMPLATE if "template" in message.lower() else ARGO_URL
