"""What a real Argo server answered: the relay's verdicts, and the emulator's answers."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from relay.destinations.single_event import hashed_id
from relay.local.orchestrators import APIS, Server
from relay.local.orchestrators.server import Answer, ApiRequest
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Reject
from tests.destinations.conformance.setups import opened
from tests.destinations.recorded import Exchange, exchanges

RECORDING = exchanges("argo-4.1.2.jsonl")
BY_ABOUT = {one.about: one for one in RECORDING}
FOUND, MISSING = (
    BY_ABOUT["the workflow that was started"],
    BY_ABOUT["a workflow that does not exist"],
)
PLACE, NAMESPACE, TEMPLATE, PARAMETER, TOKEN = (
    f"RELAY_ARGO_{name}" for name in ("URL", "NAMESPACE", "TEMPLATE", "PARAMETER", "TOKEN")
)
LATER, TOO_LARGE = "later", "too_large_for_destination"

VERDICTS = {
    "a start": "delivered",
    "the same start again": "duplicate",
    "the same name with another content": "duplicate",
    "a start of a cluster's template": "delivered",
    "a template that does not exist": TEMPLATE,
    "a cluster's template that does not exist": TEMPLATE,
    "a parameter that the template does not have": PARAMETER,
    "an event that looks like an expression": "delivered",
    "a half surrogate": "delivered",
    "an event of 1,000,000 bytes as a JSON string": "delivered",
    "a name that Kubernetes refuses": TEMPLATE,
    "a body that is no JSON": TEMPLATE,
    "no workflow": TEMPLATE,
    "a base URL with a wrong path": PLACE,
    "a quota is used up": LATER,
    "a quota's object changed meanwhile": LATER,
    "Kubernetes finds it too large": TOO_LARGE,
    "etcd finds it too large": TOO_LARGE,
    "Kubernetes is slow": LATER,
    "Kubernetes throttles": LATER,
    "no permission to create": TOKEN,
    "a webhook denies it": TEMPLATE,
    "a namespace that does not exist": NAMESPACE,
    "no token": TOKEN,
    "a wrong token": TOKEN,
    "no bearer": TOKEN,
    "a token": "delivered",
}


def test_every_answer_to_a_start_has_a_verdict() -> None:
    assert set(VERDICTS) == {one.about for one in RECORDING if one.method == "POST"}


async def verdict_on(creation: Exchange, lookup: Exchange) -> str:
    """What the relay makes of the recorded answers to a creation and to the lookup after it."""

    def respond(request: ApiRequest) -> Answer:
        one = creation if request.method == "POST" else lookup
        return Answer(status=one.status, body=one.content)

    event = Event(id=_event_id(creation), name="order/placed", data=b'{"n": 1.10}')
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(respond))
        variables = {PLACE: server.url, TEMPLATE: "orders", TOKEN: "a-token"}
        destination, _ = await opened(stack, "argo", variables)
        try:
            (outcome,) = await destination.send([event])
        except Unavailable as error:
            return error.setting or LATER
    match outcome:
        case Delivered(duplicate=duplicate):
            return "duplicate" if duplicate else "delivered"
        case Reject(code=code):
            return code
    raise AssertionError(outcome)


IDS = {
    hashed_id(one): one
    for one in ("e-1", "e-2", "e-4", "half", "large", "c-1", "nobody", "k-conflict")
}


def _event_id(creation: Exchange) -> str:
    """The id of the event whose name the recorded request has."""
    return next((own for name, own in IDS.items() if name in creation.sent), "e-1")


@pytest.mark.parametrize("about", VERDICTS)
async def test_the_relay_reads_a_recorded_answer(about: str) -> None:
    creation = BY_ABOUT[about]
    exists = "already exists" in str(creation.body)
    assert await verdict_on(creation, FOUND if exists else MISSING) == VERDICTS[about]


async def test_a_lookup_that_is_forbidden_halts() -> None:
    creation, lookup = BY_ABOUT["the same start again"], BY_ABOUT["no permission to get"]
    assert await verdict_on(creation, lookup) == TOKEN


ITS_OWN = "it stores any workflow, and nobody needs a token"
DIFFERENCES = {
    "what the server is": "the relay never asks this",
    "a body that is no JSON": "the relay never sends this",
    "no workflow": "the relay never sends this",
    "a base URL with a wrong path": "it has no UI",
    "a half surrogate": ITS_OWN,
    "a name that Kubernetes refuses": ITS_OWN,
    "a quota is used up": ITS_OWN,
    "a quota's object changed meanwhile": ITS_OWN,
    "Kubernetes finds it too large": ITS_OWN,
    "etcd finds it too large": ITS_OWN,
    "Kubernetes is slow": ITS_OWN,
    "Kubernetes throttles": ITS_OWN,
    "no permission to create": ITS_OWN,
    "no permission to get": ITS_OWN,
    "a webhook denies it": ITS_OWN,
    "a namespace that does not exist": ITS_OWN,
    "no token": ITS_OWN,
    "a wrong token": ITS_OWN,
    "no bearer": ITS_OWN,
}
"""Where the emulator answers otherwise."""


def test_the_emulator_answers_as_recorded() -> None:
    respond = APIS["argo"]().respond
    for one in RECORDING:
        if one.about not in DIFFERENCES:
            request = ApiRequest(
                method=one.method, path=one.path, headers={}, body=one.sent.encode()
            )
            answer = respond(request)
            given, recorded = json.loads(answer.body), one.body
            assert answer.status == one.status, one.about
            assert _read(given) == _read(recorded), one.about


def _read(body: Any) -> Any:
    """What the relay reads of an answer, without a value that a recording shortens."""
    name = body.get("metadata", {}).get("name")
    parameters = body.get("spec", {}).get("arguments", {}).get("parameters", [])
    values = [
        one for one in parameters if isinstance(one["value"], str) and len(one["value"]) < 2_000
    ]
    return body.get("code"), body.get("message"), name, values
