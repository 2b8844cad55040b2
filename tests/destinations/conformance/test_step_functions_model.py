"""Step Functions by AWS's own words: the service model of botocore, and answers recorded from AWS.

The recorded answers are those of the validated snapshots that the LocalStack project took from AWS
(tests/aws/services/stepfunctions/v2/test_sfn_api.snapshot.json, 2023-06-22 and 2024-08-21).
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import botocore.session  # type: ignore[import-untyped] # it ships no types
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it ships no types

from relay.local.orchestrators import APIS, Server
from relay.local.orchestrators.apis import MACHINE
from relay.local.orchestrators.server import Answer, ApiRequest
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Reject
from tests.destinations.conformance import moto_states
from tests.destinations.conformance.setups import opened

MODEL = botocore.session.get_session().get_service_model("stepfunctions")
EVENT = Event(id="e-1", name="order/placed", data=b"{}")
ARN = "RELAY_STEP_FUNCTIONS_ARN"
LATER = "later"

VERDICTS = {
    "ExecutionAlreadyExists": "duplicate",
    "ExecutionLimitExceeded": LATER,
    "InvalidArn": ARN,
    "InvalidExecutionInput": "rejected",
    "InvalidName": LATER,
    "KmsAccessDeniedException": ARN,
    "KmsInvalidStateException": ARN,
    "KmsThrottlingException": LATER,
    "StateMachineDeleting": ARN,
    "StateMachineDoesNotExist": ARN,
    "ValidationException": LATER,
}
"""What the relay makes of each error that AWS says StartExecution has."""


def test_every_error_of_the_service_model_has_a_verdict() -> None:
    errors = MODEL.operation_model("StartExecution").error_shapes
    assert set(VERDICTS) == {shape.name for shape in errors}


@pytest.mark.parametrize("code", VERDICTS)
async def test_the_relay_reads_an_error_of_the_service(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = APIS["step-functions"]().respond

    def respond(request: ApiRequest) -> Answer:
        if request.headers["x-amz-target"].endswith(".StartExecution"):
            body = {"__type": f"com.amazonaws.swf.service.v2.model#{code}", "message": "a text"}
            return Answer(status=400, body=json.dumps(body).encode())
        return emulator(request)

    for name, value in moto_states.KEYS.items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(respond))
        monkeypatch.setenv("AWS_ENDPOINT_URL_SFN", server.url)
        destination, _ = await opened(stack, "step-functions", {ARN: MACHINE})
        assert await _verdict(destination) == VERDICTS[code]


async def _verdict(destination: Any) -> str:
    try:
        (outcome,) = await destination.send([EVENT])
    except Unavailable as error:
        return error.setting or LATER
    if isinstance(outcome, Delivered):
        return "duplicate" if outcome.duplicate else "delivered"
    return "rejected" if isinstance(outcome, Reject) else LATER


@dataclass(frozen=True)
class Recorded:
    """A call, and the error that AWS answers, where it is not a success."""

    call: str
    arguments: dict[str, str]
    code: str | None = None
    message: str | None = None


def _calls(machine: str, name: str) -> list[Recorded]:
    """The calls of the snapshots with AWS's answers, for a state machine whose executions last."""
    executions = machine.replace(":stateMachine:", ":execution:")
    start = {"stateMachineArn": machine, "name": name, "input": '{"n": 1.10}'}
    nobody = f"{machine}-nobody"
    return [
        Recorded("describe_state_machine", {"stateMachineArn": machine}),
        Recorded("start_execution", start),
        Recorded("start_execution", start),
        Recorded(
            "start_execution",
            {**start, "input": '{"n": 2}'},
            "ExecutionAlreadyExists",
            f"Execution Already Exists: '{executions}:{name}'",
        ),
        Recorded("describe_execution", {"executionArn": f"{executions}:{name}"}),
        Recorded(
            "describe_execution",
            {"executionArn": f"{executions}:nobody"},
            "ExecutionDoesNotExist",
            f"Execution Does Not Exist: '{executions}:nobody'",
        ),
        Recorded(
            "start_execution",
            {**start, "stateMachineArn": nobody},
            "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: '{nobody}'",
        ),
        Recorded(
            "start_execution",
            {**start, "name": f"{name}-text", "input": "not some json"},
            "InvalidExecutionInput",
        ),
        Recorded("start_execution", {**start, "name": f"{name}-null", "input": "null"}),
    ]


@contextmanager
def client_of(url: str | None, region: str) -> Iterator[Any]:
    """A client of a double, or of what the environment names."""
    client = moto_states.client(url) if url else boto3.client("stepfunctions", region_name=region)
    try:
        yield client
    finally:
        client.close()


def differences(client: Any, machine: str, name: str) -> dict[str, Any]:
    """The calls that are answered otherwise than AWS answers them, by their input or ARN."""
    found = {}
    for one in _calls(machine, name):
        operation = "".join(word.title() for word in one.call.split("_"))
        try:
            answer = getattr(client, one.call)(**one.arguments)
        except ClientError as error:
            answer = error.response["Error"]
            right = answer["Code"] == one.code and answer["Message"] == (
                one.message or answer["Message"]
            )
        else:
            required = MODEL.operation_model(operation).output_shape.required_members
            right = one.code is None and not set(required) - set(answer)
        if not right:
            found[one.arguments.get("input", next(iter(one.arguments.values())))] = answer
    return found


async def test_the_emulator_answers_as_aws_does() -> None:
    async with Server(APIS["step-functions"]().respond) as server:
        with client_of(server.url, moto_states.REGION) as client:
            found = await asyncio.to_thread(differences, client, MACHINE, "recorded")
    assert found == {}


def test_moto_answers_as_aws_does(moto: str) -> None:
    machine = moto_states.machine(moto, uuid.uuid4().hex)
    with client_of(moto, moto_states.REGION) as client:
        assert differences(client, machine, "recorded") == {}


@pytest.mark.skipif("STEP_FUNCTIONS_ARN" not in os.environ, reason="set STEP_FUNCTIONS_ARN")
def test_a_real_service_answers_as_recorded() -> None:
    machine = os.environ["STEP_FUNCTIONS_ARN"]
    with client_of(None, machine.split(":")[3]) as client:
        assert differences(client, machine, f"recorded-{uuid.uuid4().hex[:8]}") == {}
