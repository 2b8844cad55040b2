"""The HTTP APIs of the emulators: what the relay needs to start work and to detect repeats."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from relay.local.orchestrators.bullmq import PROGRAM
from relay.local.orchestrators.server import Answer, ApiRequest, Starts

ACCOUNT = "arn:aws:states:us-east-1:123456789012"
MACHINE = f"{ACCOUNT}:stateMachine:orders"
DEPLOYMENT = str(uuid5(NAMESPACE_URL, "deployment"))
_PREFECT_START = re.compile(r"/api/deployments/(?P<deployment>[0-9a-f-]{36})/create_flow_run")


@dataclass(kw_only=True)
class Api:
    """One orchestrator's API.

    Attributes:
        url_setting: the relay's setting for the URL.
        path: the path of that URL.
        settings: the other settings that a relay needs.
        respond: answers a request.
        starts: what was started.
    """

    url_setting: str
    path: str
    settings: Mapping[str, str]
    respond: Callable[[ApiRequest], Answer]
    starts: Starts


def webhook() -> Api:
    """A webhook receiver that deduplicates by Idempotency-Key."""
    starts = Starts()

    def respond(request: ApiRequest) -> Answer:
        starts.start(request.headers.get("idempotency-key", ""), request.body)
        return Answer()

    return Api(
        url_setting="RELAY_WEBHOOK_URL",
        path="/hook/secret-of-it",
        settings={"RELAY_WEBHOOK_ALLOW_PRIVATE": "true"},
        respond=respond,
        starts=starts,
    )


def prefect() -> Api:
    """A Prefect server with one deployment, `orders/main`."""
    starts = Starts()

    def respond(request: ApiRequest) -> Answer:
        start = _PREFECT_START.fullmatch(request.path)
        if request.path == "/api/health":
            return Answer(body=b"true")
        if request.method == "GET" and start is not None:
            return _json(405, detail="Method Not Allowed")
        if start is None and not request.path.startswith("/api/deployments/name/"):
            return _json(404, detail="Not Found")
        if request.path == "/api/deployments/name/orders/main":
            return _json(200, id=DEPLOYMENT)
        if start is None or start["deployment"] != DEPLOYMENT:
            return _json(404, detail="Deployment not found")
        payload = json.loads(request.body)
        key = payload["idempotency_key"]
        new = starts.start(key, payload["parameters"]["event"]["value"].encode())
        return _json(201 if new else 200, id=str(uuid5(NAMESPACE_URL, key)))

    return Api(
        url_setting="RELAY_PREFECT_API_URL",
        path="/api",
        settings={"RELAY_PREFECT_DEPLOYMENT": "orders/main"},
        respond=respond,
        starts=starts,
    )


def argo() -> Api:
    """An Argo server with one workflow template, `orders`."""
    starts = Starts()
    base = "/api/v1/workflows/argo"

    def respond(request: ApiRequest) -> Answer:
        if not f"{request.path}/".startswith(f"{base}/"):
            return _json(501, code=12, message="Not Implemented")
        if request.method == "GET":
            name = request.path.removeprefix(f"{base}/")
            exists = name in starts.started
            return (
                _workflow(name, starts.started[name]) if exists else _not_found("workflows", name)
            )
        payload = json.loads(request.body)["workflow"]
        name, spec = payload["metadata"]["name"], payload["spec"]
        template, argument = spec["workflowTemplateRef"], spec["arguments"]["parameters"][0]
        if template["name"] != "orders":
            scope = "cluster" if template["clusterScope"] else ""
            return _not_found(f"{scope}workflowtemplates", template["name"])
        if argument["name"] != "event":
            message = f"{_EVENT}.value or {_EVENT}.valueFrom is required"
            return _json(400, code=3, message=message)
        content = argument["value"].encode()
        if not starts.start(name, content):
            return _json(409, code=6, message=f'workflows.argoproj.io "{name}" already exists')
        return _workflow(name, content)

    return Api(
        url_setting="RELAY_ARGO_URL",
        path="",
        settings={"RELAY_ARGO_TEMPLATE": "orders", "RELAY_ARGO_TOKEN": "token-of-argo"},
        respond=respond,
        starts=starts,
    )


def step_functions() -> Api:
    """A STANDARD state machine whose executions never end."""
    starts = Starts()

    def respond(request: ApiRequest) -> Answer:
        payload = json.loads(request.body)
        match request.headers.get("x-amz-target", "").rpartition(".")[2]:
            case "DescribeStateMachine":
                return _json(200, **_STATE_MACHINE)
            case "DescribeExecution":
                arn = payload["executionArn"]
                known = starts.started.get(arn.rpartition(":")[2])
                if known is None:
                    return _states_error("Execution Does Not Exist", arn)
                more = {"stateMachineArn": MACHINE, "status": "RUNNING", "input": known.decode()}
                return _json(200, executionArn=arn, startDate=_BEGAN, **more)
        return _start_execution(starts, payload)

    return Api(
        url_setting="AWS_ENDPOINT_URL_SFN",
        path="",
        settings={"RELAY_STEP_FUNCTIONS_ARN": MACHINE},
        respond=respond,
        starts=starts,
    )


APIS: dict[str, Callable[[], Api]] = {
    "webhook": webhook,
    "prefect": prefect,
    "argo": argo,
    "step-functions": step_functions,
}


def _json(status: int, /, **fields: Any) -> Answer:
    return Answer(status=status, body=json.dumps(fields).encode())


_EVENT = "spec.arguments.event"


def _not_found(kind: str, name: str) -> Answer:
    return _json(404, code=5, message=f'{kind}.argoproj.io "{name}" not found')


def _workflow(name: str, content: bytes) -> Answer:
    parameters = [{"name": "event", "value": content.decode()}]
    return _json(200, metadata={"name": name}, spec={"arguments": {"parameters": parameters}})


_BEGAN = 1_800_000_000.0
_STATE_MACHINE = {
    "stateMachineArn": MACHINE,
    "name": "orders",
    "type": "STANDARD",
    "definition": "{}",
    "roleArn": "arn:aws:iam::123456789012:role/states",
    "creationDate": _BEGAN,
}


def _start_execution(starts: Starts, payload: Any) -> Answer:
    name, content = payload["name"], payload["input"].encode()
    arn = f"{ACCOUNT}:execution:orders:{name}"
    if payload["stateMachineArn"] != MACHINE:
        return _states_error("State Machine Does Not Exist", payload["stateMachineArn"])
    try:
        json.loads(content)
    except ValueError as error:
        return _states_error(
            "Invalid State Machine Execution Input", str(error), code="InvalidExecutionInput"
        )
    if starts.start(name, content) or starts.started[name] == content:
        return _json(200, executionArn=arn, startDate=_BEGAN)
    return _states_error("Execution Already Exists", arn)


def _states_error(sentence: str, what: str, *, code: str | None = None) -> Answer:
    """An error in AWS's words, which are the code's own words but for one (recorded from AWS)."""
    named = code or sentence.replace(" ", "")
    return _json(400, __type=named, message=f"{sentence}: '{what}'")


EMULATED = (*APIS, "temporal", "bullmq")
"""The name of every orchestrator that has an emulator."""

_LIBRARIES = {"temporal": ("temporalio", "grpc"), "bullmq": ("bullmq", "redis")}
_INSTALL_COMMANDS = {
    "temporal": "pip install 'sqs-relay[temporal]' grpcio",
    "bullmq": "pip install 'sqs-relay[bullmq]'",
}


def missing_dependency(
    name: str,
    *,
    library: Callable[[str], object] = find_spec,
    program: Callable[[str], object] = shutil.which,
) -> str | None:
    """What this emulator needs that is not installed here, and how to install it; else None.

    `library` and `program` look one up by name and return None if it is not installed.
    """
    if any(library(needed) is None for needed in _LIBRARIES.get(name, ())):
        return f"{name} needs libraries that are not installed: {_INSTALL_COMMANDS[name]}"
    if name == "bullmq" and program(PROGRAM) is None:
        return (
            f"bullmq needs the program {PROGRAM}, which is not on the PATH: install Redis"
            " (Debian and Ubuntu: apt-get install redis-server)"
        )
    return None
