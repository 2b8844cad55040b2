"""What a real Prefect server answered: how the relay reads it, and whether the emulator agrees."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from relay.local.orchestrators import APIS, Server
from relay.local.orchestrators.apis import DEPLOYMENT
from relay.local.orchestrators.server import Answer, ApiRequest
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Reject
from tests.destinations.conformance.setups import opened
from tests.destinations.recorded import Exchange, Replay, comparable, exchanges

RECORDING = exchanges("prefect-3.8.8.jsonl")
BY_ABOUT = {one.about: one for one in RECORDING}
START = BY_ABOUT["a start"]
EVENT = Event(id="e-1", name="order/placed", data=b'{"n": 1.10}')
PLACE, DEPLOYED, KEY = (f"RELAY_PREFECT_{name}" for name in ("API_URL", "DEPLOYMENT", "API_KEY"))
LATER = "later"
"""The destination as a whole seems to be in trouble, until other events pass."""

VERDICTS = {
    "the deployment by its names": "delivered",
    "a deployment that is unknown by its names": DEPLOYED,
    "a start": "delivered",
    "the same start again": "duplicate",
    "the same key with another content": "duplicate",
    "another key": "delivered",
    "a template of Prefect's as data is not rendered": "delivered",
    "an integer above 2^53 and a NUL": "delivered",
    "a half surrogate": LATER,
    "a number beyond a double": "delivered",
    "the start with the half surrogate again": LATER,
    "the start with the number beyond a double again": "duplicate",
    "an integer of 5,000 digits": LATER,
    "nesting of 2,000": LATER,
    "a parameter that is no object": "rejected",
    "a parameter that is missing": "rejected",
    "a parameter that the flow does not have": "delivered",
    "a value that is said to be JSON and is not": LATER,
    "a body that is no JSON": "rejected",
    "an event of 524,032 bytes as a JSON string": "delivered",
    "an event of 524,288 bytes as a JSON string": "rejected",
    "an event of 524,289 bytes as a JSON string": "rejected",
    "a deployment that is unknown by its id": DEPLOYED,
    "a deployment's id that is no UUID": PLACE,
    "the API's URL without /api": PLACE,
    "a deployment by names with a space and an accent": "delivered",
    "a start of a paused deployment": "delivered",
    "a start of a deleted deployment": DEPLOYED,
    "no key where one is needed": KEY,
    "a wrong key": KEY,
    "a wrong key at a start": KEY,
    "the right key": DEPLOYED,
    "the API's URL without /api, where there is a UI": PLACE,
    "a start at the API's URL without /api, where there is a UI": PLACE,
}


def of_the_relay(one: Exchange) -> bool:
    """Whether the relay sends such requests."""
    looked_up = one.method == "GET" and "/deployments/name/" in one.path
    return looked_up or (one.method == "POST" and one.path.endswith("/create_flow_run"))


def test_every_answer_that_the_relay_may_get_has_a_verdict() -> None:
    assert set(VERDICTS) == {one.about for one in RECORDING if of_the_relay(one)}


async def verdict_on(exchange: Exchange) -> str:
    """What the relay makes of the recorded answer."""

    def respond(request: ApiRequest) -> Answer:
        found = exchange if request.method == exchange.method else START
        return Answer(status=found.status, body=found.content)

    named = "orders/main" if exchange.method == "GET" else DEPLOYMENT
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(respond))
        variables = {
            "RELAY_PREFECT_API_URL": f"{server.url}/api",
            "RELAY_PREFECT_DEPLOYMENT": named,
        }
        destination, _ = await opened(stack, "prefect", variables)
        try:
            (outcome,) = await destination.send([EVENT])
        except Unavailable as error:
            return error.setting or LATER
    match outcome:
        case Delivered(duplicate=duplicate):
            return "duplicate" if duplicate else "delivered"
        case Reject():
            return "rejected"
    raise AssertionError(outcome)


@pytest.mark.parametrize("about", VERDICTS)
async def test_the_relay_reads_a_recorded_answer(about: str) -> None:
    assert await verdict_on(BY_ABOUT[about]) == VERDICTS[about]


ONE_DEPLOYMENT = "it has one deployment, which nobody makes, pauses or deletes"
ANY_EVENT = "it takes any event of any size: it has no schema and no database"
DIFFERENCES = {
    "a flow is made": ONE_DEPLOYMENT,
    "a flow whose name has a space and an accent is made": ONE_DEPLOYMENT,
    "its deployment is made": ONE_DEPLOYMENT,
    "a deployment by names with a space and an accent": ONE_DEPLOYMENT,
    "a deployment is paused": ONE_DEPLOYMENT,
    "the deployment is deleted": ONE_DEPLOYMENT,
    "a start of a deleted deployment": ONE_DEPLOYMENT,
    "a half surrogate": ANY_EVENT,
    "the start with the half surrogate again": ANY_EVENT,
    "an integer of 5,000 digits": ANY_EVENT,
    "nesting of 2,000": ANY_EVENT,
    "a parameter that is no object": ANY_EVENT,
    "an event of 524,288 bytes as a JSON string": ANY_EVENT,
    "an event of 524,289 bytes as a JSON string": ANY_EVENT,
    "a value that is said to be JSON and is not": ANY_EVENT,
    "a parameter that is missing": "the relay never sends this",
    "a parameter that the flow does not have": "the relay never sends this",
    "a body that is no JSON": "the relay never sends this",
}
"""Where the emulator answers otherwise. It asks for no key either, as the server `open`."""

MADE = "a deployment is made, whose flow takes an object"
READ = ("id", "detail")
"""Fields of an answer that the relay reads."""


def test_the_emulator_answers_as_recorded() -> None:
    respond = APIS["prefect"]().respond

    def ask(one: Exchange) -> tuple[int, Any]:
        if one.about == MADE:
            return one.status, {"id": DEPLOYMENT}
        request = ApiRequest(
            method=one.method, path=one.path, headers=one.headers, body=one.sent.encode()
        )
        answer = respond(request)
        return answer.status, json.loads(answer.body)

    replay = Replay(ask)
    for one in RECORDING:
        if one.server == "open" and one.about not in DIFFERENCES:
            status, body = replay.answer(one)
            assert (status, _read(body)) == (one.status, _read(one.body)), one.about


def _read(body: Any) -> Any:
    return {name: body[name] for name in READ if name in body} if isinstance(body, dict) else body


NAMED_BY_CHANCE = frozenset({"name", "estimated_start_time_delta"})
"""A flow run's name is made up, and the other is a time."""


@pytest.mark.heavy
def test_prefect_itself_still_answers_as_recorded(prefect_url: str) -> None:
    base = prefect_url.removesuffix("/api")
    types = {"content-type": "application/json", "accept": "application/json"}

    def ask(one: Exchange) -> tuple[int, Any]:
        # A connection for each request: the server closes one after it answered 500.
        answer = httpx.request(
            one.method,
            f"{base}{one.path}",
            content=one.sent or None,
            headers=types,
            timeout=60.0,
            verify=False,
        )
        busy = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        return ask(one) if busy else (answer.status_code, _parsed(answer.text))

    replay = Replay(ask)
    for one in RECORDING:
        if one.server == "open":
            status, body = replay.answer(one)
            recorded = (one.status, comparable(one.body, NAMED_BY_CHANCE))
            assert (status, comparable(body, NAMED_BY_CHANCE)) == recorded, one.about


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
