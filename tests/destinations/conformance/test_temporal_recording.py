"""Recorded calls of a real Temporal server: the relay's verdicts, and the emulator's answers."""

from __future__ import annotations

import base64
import importlib
import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from relay.local.orchestrators.apis import missing_dependency
from relay.local.orchestrators.temporal import NAMESPACE, SERVICE, Frontend
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Reject, Retry
from tests.destinations.conformance.setups import opened
from tests.destinations.recorded import RECORDINGS, UUID

pytestmark = pytest.mark.skipif(
    missing_dependency("temporal") is not None, reason=str(missing_dependency("temporal"))
)

START, SIGNAL = "StartWorkflowExecution", "SignalWithStartWorkflowExecution"
EVENT = Event(id="e-1", name="order/placed", data=b'{"orderId": "o-1"}')
SIGNALS = {
    "RELAY_TEMPORAL_SIGNAL": "order-changed",
    "RELAY_TEMPORAL_WORKFLOW_ID_PATH": "data.orderId",
}
WORKFLOW, TASK_QUEUE, SIGNAL_NAME, SPACE = (
    f"RELAY_TEMPORAL_{name}" for name in ("WORKFLOW", "TASK_QUEUE", "SIGNAL", "NAMESPACE")
)
LATER, TOO_LARGE, REFUSED = "later", "too_large_for_destination", "refused_by_destination"
ONE_LATER = "this event later"

VERDICTS = {
    "a start": "delivered",
    "the same id again, while the workflow is open": "duplicate",
    "the same id with another content": "duplicate",
    "the same id with the same request id": "delivered",
    "the same id again, after the workflow failed": "duplicate",
    "a namespace that does not exist": SPACE,
    "no namespace": WORKFLOW,
    "no workflow type": WORKFLOW,
    "no task queue": TASK_QUEUE,
    "no workflow id": REFUSED,
    "a workflow id of 1,000 characters": "delivered",
    "a workflow id of 1,001 characters": REFUSED,
    "a workflow type of 1,001 characters": WORKFLOW,
    "a task queue of 1,001 characters": TASK_QUEUE,
    "a payload of 2,000,000 bytes": "delivered",
    "a payload of 2,097,153 bytes": TOO_LARGE,
    "a payload of 4,194,305 bytes": TOO_LARGE,
    "a signal that starts the workflow": "delivered",
    "a signal to the workflow": "delivered",
    "a third signal to the workflow, the last that this server allows": "delivered",
    "a signal too many for the workflow": ONE_LATER,
    "a signal after the workflow has ended": "delivered",
    "a signal name of 1,001 characters": SIGNAL_NAME,
    "no signal name": SIGNAL_NAME,
    "a signal of 2,097,153 bytes": TOO_LARGE,
    "a signal in a namespace that does not exist": SPACE,
    "more starts than the server allows": LATER,
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One line of the recording. `response` is the answer's message or the error's details."""

    server: str
    about: str
    method: str
    request: Mapping[str, Any]
    code: str
    text: str
    response: Any


def _call(line: Any) -> Call:
    response = line["response"]
    failed = response["code"] != "OK"
    return Call(
        server=line["server"],
        about=line["about"],
        method=line["method"],
        request=_unpacked(line["request"]),
        code=response["code"],
        text=response["message"] if failed else "",
        response=response["details"] if failed else response["message"],
    )


def _unpacked(value: Any) -> Any:
    match value:
        case {"repeat": str(text), "times": int(times)}:
            return text * times
        case {"json_string_of_x": int(size)}:
            return base64.b64encode(b'"%b"' % (b"x" * (size - 2))).decode()
        case {**fields}:
            return {name: _unpacked(one) for name, one in fields.items()}
        case list():
            return [_unpacked(one) for one in value]
    return value


RECORDING = [
    _call(json.loads(line))
    for line in (RECORDINGS / "temporal-1.31.2.jsonl").read_text(encoding="utf-8").splitlines()
]
BY_ABOUT = {one.about: one for one in RECORDING}


class Protocol:
    """The libraries, by name, because a checker may look at this where the extra is missing."""

    def __init__(self) -> None:
        self.grpc: Any = importlib.import_module("grpc")
        self.json: Any = importlib.import_module("google.protobuf.json_format")
        self.service: Any = importlib.import_module("temporalio.api.workflowservice.v1")
        self.status: Any = importlib.import_module("temporalio.api.common.v1").GrpcStatus
        importlib.import_module("temporalio.api.errordetails.v1")

    def request(self, method: str, fields: Mapping[str, Any]) -> Any:
        return self.json.ParseDict(fields, getattr(self.service, f"{method}Request")())

    def response(self, method: str, fields: Mapping[str, Any]) -> Any:
        return self.json.ParseDict(fields, getattr(self.service, f"{method}Response")())

    def details(self, call: Call) -> bytes:
        status = self.status(code=self.grpc.StatusCode[call.code].value[0], message=call.text)
        for one in call.response:
            self.json.ParseDict(one, status.details.add())
        return bytes(status.SerializeToString())

    async def ask(self, channel: Any, call: Call) -> tuple[str, str, Any]:
        """The server's code, text and answer or details, as a recording has them."""
        response_type = getattr(self.service, f"{call.method}Response")
        multicallable = channel.unary_unary(
            f"/{SERVICE}/{call.method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        try:
            answer = await multicallable(self.request(call.method, call.request), timeout=60)
        except self.grpc.aio.AioRpcError as error:
            trailer = dict(error.trailing_metadata() or ())
            status = self.status.FromString(trailer.get("grpc-status-details-bin", b""))
            details = [self.json.MessageToDict(one) for one in status.details]
            return error.code().name, error.details() or "", details
        return "OK", "", self.json.MessageToDict(answer)


def test_every_answer_to_a_start_or_a_signal_has_a_verdict() -> None:
    assert set(VERDICTS) == {one.about for one in RECORDING if one.method in (START, SIGNAL)}


@asynccontextmanager
async def replaying(call: Call) -> AsyncIterator[str]:
    """The address of a server that gives the recorded answer to each start and signal."""
    protocol = Protocol()
    grpc = protocol.grpc

    async def respond(_request: Any, context: Any) -> Any:
        if call.code == "OK":
            return protocol.response(call.method, call.response)
        trailer = (("grpc-status-details-bin", protocol.details(call)),) if call.response else ()
        return await context.abort(grpc.StatusCode[call.code], call.text, trailing_metadata=trailer)

    async def system_info(_request: Any, _context: Any) -> Any:
        found = BY_ABOUT["what the server is"]
        return protocol.response(found.method, found.response)

    calls = {call.method: respond, "GetSystemInfo": system_info}
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=getattr(protocol.service, f"{method}Request").FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        for method, handle in calls.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0.1)


async def verdict_on(call: Call) -> str:
    """What the relay makes of the recorded answer."""
    async with AsyncExitStack() as stack:
        variables = {
            "RELAY_TEMPORAL_ADDRESS": await stack.enter_async_context(replaying(call)),
            "RELAY_TEMPORAL_NAMESPACE": "default",
            "RELAY_TEMPORAL_WORKFLOW": "PlaceOrder",
            "RELAY_TEMPORAL_TASK_QUEUE": "orders",
            **(SIGNALS if call.method == SIGNAL else {}),
        }
        destination, _ = await opened(stack, "temporal", variables)
        try:
            (outcome,) = await destination.send([EVENT])
        except Unavailable as error:
            return error.setting or LATER
    match outcome:
        case Delivered(duplicate=duplicate):
            return "duplicate" if duplicate else "delivered"
        case Retry():
            return ONE_LATER
        case Reject(code=code):
            return code


@pytest.mark.parametrize("about", VERDICTS)
async def test_the_relay_reads_a_recorded_answer(about: str) -> None:
    assert await verdict_on(BY_ABOUT[about]) == VERDICTS[about]


UNLIMITED = "a workflow is never ended, takes any number of signals, and calls are not counted"
DIFFERENCES = {
    "what the server is": "it says its version only",
    "the workflow is terminated": UNLIMITED,
    "the same id again, after the workflow failed": UNLIMITED,
    "the signalled workflow is terminated": UNLIMITED,
    "a signal too many for the workflow": UNLIMITED,
    "a signal after the workflow has ended": UNLIMITED,
    "more starts than the server allows": UNLIMITED,
}
"""Where the emulator answers otherwise."""

TOLD = ("runId", "started", "workflowExecutionInfo")
"""Fields of an answer that the emulator has too."""


async def test_the_emulator_answers_as_recorded() -> None:
    protocol = Protocol()
    async with (
        Frontend() as frontend,
        protocol.grpc.aio.insecure_channel(frontend.address) as channel,
    ):
        for one in RECORDING:
            if one.about not in DIFFERENCES:
                answer = await protocol.ask(channel, _in_namespace(one, NAMESPACE))
                expected = _comparable(one.code, one.text, one.response)
                assert _comparable(*answer) == expected, one.about


def _in_namespace(call: Call, namespace: str) -> Call:
    given = call.request.get("namespace")
    own = {"namespace": namespace} if given == "default" else {}
    return Call(**{**vars(call), "request": {**call.request, **own}})


def _comparable(code: str, text: str, response: Any) -> Any:
    """The answer without run ids, and without what only a real server says."""
    if isinstance(response, dict):
        response = {name: one for name, one in response.items() if name in TOLD}
        info = response.get("workflowExecutionInfo")
        if info is not None:
            response["workflowExecutionInfo"] = info["execution"]
    # Each gRPC library says this in its own way, and of a compressed request in another.
    text = re.sub(r".*larger than max.*", "larger than max", text)
    return json.loads(UUID.sub("run", json.dumps([code, text, response])))


LIMITED = ("a signal too many for the workflow", "more starts than the server allows")
"""These need a server with lower limits."""


@pytest.mark.skipif("TEMPORAL_ADDRESS" not in os.environ, reason="set TEMPORAL_ADDRESS")
async def test_a_real_server_still_answers_as_recorded() -> None:
    protocol = Protocol()
    own = f"recorded-{uuid.uuid4().hex[:8]}-"
    async with protocol.grpc.aio.insecure_channel(os.environ["TEMPORAL_ADDRESS"]) as channel:
        for one in RECORDING:
            if one.about in LIMITED or one.server != "dev" or "1,000 characters" in one.about:
                continue
            code, text, response = await protocol.ask(channel, _of_own(one, own))
            text, response = json.loads(json.dumps([text, response]).replace(own, ""))
            expected = _comparable(one.code, one.text, one.response)
            assert _comparable(code, text, response) == expected, one.about


def _of_own(call: Call, prefix: str) -> Call:
    """The call with a workflow id that no earlier run of this test has used."""
    text = json.dumps(call.request)
    ids = re.compile(r'"workflowId": "(?=[^"])')
    return Call(**{**vars(call), "request": json.loads(ids.sub(f'"workflowId": "{prefix}', text))})
