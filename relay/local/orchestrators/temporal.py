"""The Temporal emulator: the gRPC frontend, as far as starting and signalling workflows.

It needs the extra `temporal` and grpcio, which are imported when a `Frontend` is created.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

from relay.local.orchestrators.server import Starts

SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
NAMESPACE = "orders"
VERSION = "1.31.2"
MOST_CHARACTERS = 1_000
"""In an id or a name."""

MOST_BYTES = 2_097_152
"""In a payload."""

GRACE = 0.1
"""Seconds for active calls to finish when it goes down."""

Call = Callable[[Any, Any], Awaitable[Any]]


class Frontend:
    """Listens while entered, always on the same port.

    Attributes:
        starts: the workflows by id; the content is the workflow's argument.
        signals: every signal received, as the workflow's id and the signal's argument.
        faults: for the next starts and signals, one each: a gRPC status to fail with, or None to
            carry the call out and lose its response.
        callers: the common names of the client certificates seen.
    """

    def __init__(self, credentials: Any = None) -> None:
        self._grpc = importlib.import_module("grpc")
        self._protocol = importlib.import_module("temporalio.api.workflowservice.v1")
        self._credentials = credentials
        self._port = 0
        self._server: Any = None
        self.starts = Starts()
        self.signals: list[tuple[str, bytes]] = []
        self.faults: deque[Any] = deque()
        self.callers: set[str] = set()
        self._requests: dict[str, str] = {}

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The address, for display."""
        return f"grpc://{self.address}"

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings that make a relay use it."""
        return {
            "RELAY_TEMPORAL_ADDRESS": self.address,
            "RELAY_TEMPORAL_NAMESPACE": NAMESPACE,
            "RELAY_TEMPORAL_WORKFLOW": "PlaceOrder",
            "RELAY_TEMPORAL_TASK_QUEUE": "orders",
        }

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.down()

    async def up(self) -> None:
        """Start listening."""
        server = self._grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        calls = {name: self._handler(name, call) for name, call in self._calls().items()}
        handler = self._grpc.method_handlers_generic_handler(SERVICE, calls)
        server.add_generic_rpc_handlers((handler,))
        if self._credentials is None:
            self._port = server.add_insecure_port(self.address)
        else:
            self._port = server.add_secure_port(self.address, self._credentials)
        await server.start()
        self._server = server

    async def down(self) -> None:
        """Stop listening."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(GRACE)

    def _calls(self) -> Mapping[str, Call]:
        return {
            "GetSystemInfo": self._system_info,
            "StartWorkflowExecution": self._start,
            "SignalWithStartWorkflowExecution": self._signal_with_start,
            "DescribeWorkflowExecution": self._describe,
        }

    def _handler(self, name: str, call: Call) -> Any:
        return self._grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=getattr(self._protocol, f"{name}Request").FromString,
            response_serializer=getattr(self._protocol, f"{name}Response").SerializeToString,
        )

    async def _system_info(self, _request: Any, _context: Any) -> Any:
        return self._protocol.GetSystemInfoResponse(server_version=VERSION)

    async def _start(self, request: Any, context: Any) -> Any:
        lost = await self._begin(request, context, request.input)
        workflow, run = request.workflow_id, _run(request.workflow_id)
        new = self.starts.start(workflow, _argument(request.input))
        first = self._requests.setdefault(workflow, request.request_id)
        if lost:
            await self._lose(context)
        if not new and first != request.request_id:
            await self._already_started(context, workflow, first)
        return self._protocol.StartWorkflowExecutionResponse(run_id=run, started=True)

    async def _signal_with_start(self, request: Any, context: Any) -> Any:
        lost = await self._begin(request, context, request.signal_input)
        argument = _argument(request.signal_input)
        new = self.starts.start(request.workflow_id, argument)
        self.signals.append((request.workflow_id, argument))
        if lost:
            await self._lose(context)
        run = _run(request.workflow_id)
        return self._protocol.SignalWithStartWorkflowExecutionResponse(run_id=run, started=new)

    async def _describe(self, request: Any, context: Any) -> Any:
        workflow = request.execution.workflow_id
        if workflow not in self.starts.started:
            details = importlib.import_module("temporalio.api.errordetails.v1")
            message = f"workflow not found for ID: {workflow}"
            await self._fail(context, "NOT_FOUND", message, details.NotFoundFailure())
        found = self._protocol.DescribeWorkflowExecutionResponse()
        execution = found.workflow_execution_info.execution
        execution.workflow_id, execution.run_id = workflow, _run(workflow)
        return found

    async def _begin(self, request: Any, context: Any, payloads: Any) -> bool:
        """Apply the next fault and check the request; whether the response is to be lost."""
        names = context.auth_context().get("x509_common_name", ())
        self.callers.update(name.decode() for name in names)
        fault = self.faults.popleft() if self.faults else False
        if fault not in (False, None):
            await context.abort(fault, "scripted fault")
        invalid = _invalid(request, payloads)
        if invalid is not None:
            await self._fail(context, "INVALID_ARGUMENT", invalid)
        if request.namespace != NAMESPACE:
            details = importlib.import_module("temporalio.api.errordetails.v1")
            missing = details.NamespaceNotFoundFailure(namespace=request.namespace)
            message = f"Namespace {request.namespace} is not found."
            await self._fail(context, "NOT_FOUND", message, missing)
        return fault is None

    async def _lose(self, context: Any) -> None:
        await context.abort(self._grpc.StatusCode.UNKNOWN, "the answer got lost")

    async def _already_started(self, context: Any, workflow: str, request_id: str) -> None:
        details = importlib.import_module("temporalio.api.errordetails.v1")
        run = _run(workflow)
        message = f"Workflow execution is already running. WorkflowId: {workflow}, RunId: {run}."
        started = details.WorkflowExecutionAlreadyStartedFailure(
            start_request_id=request_id, run_id=run
        )
        await self._fail(context, "ALREADY_EXISTS", message, started)

    async def _fail(self, context: Any, code: str, message: str, *details: Any) -> None:
        """Answer with an error. Only those with details have them in a trailer."""
        common = importlib.import_module("temporalio.api.common.v1")
        found = self._grpc.StatusCode[code]
        status = common.GrpcStatus(code=found.value[0], message=message)
        for one in details:
            status.details.add().Pack(one)
        trailer = (("grpc-status-details-bin", status.SerializeToString()),) if details else ()
        await context.abort(found, message, trailing_metadata=trailer)


def _invalid(request: Any, payloads: Any) -> str | None:
    """What a server says of a request that it refuses (measured with its default limits)."""
    names = {
        "WorkflowId": request.workflow_id,
        "SignalName": getattr(request, "signal_name", "-"),
        "WorkflowType": request.workflow_type.name,
    }
    if not request.namespace:
        return "Namespace is empty."
    for name, value in names.items():
        if not value:
            return f"{name} is not set on request."
        if len(value) > MOST_CHARACTERS:
            return f"{name} length exceeds limit."
    if not request.task_queue.name:
        return "missing task queue name"
    if len(request.task_queue.name) > MOST_CHARACTERS:
        return "taskQueue length exceeds limit"
    return "Blob data size exceeds limit." if payloads.ByteSize() > MOST_BYTES else None


def _argument(payloads: Any) -> bytes:
    return bytes(payloads.payloads[0].data)


def _run(workflow: str) -> str:
    return str(uuid5(NAMESPACE_URL, workflow))
