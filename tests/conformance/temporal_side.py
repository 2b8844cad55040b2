"""Temporal: its real client against a gRPC server on its own protos that knows ids again."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.conformance.sides import Side, wired

# By name, because a checker may look at this where the extra is not installed.
grpc: Any = importlib.import_module("grpc")
packed: Any = importlib.import_module("google.protobuf.any_pb2")
statuses: Any = importlib.import_module("google.rpc.status_pb2")
details: Any = importlib.import_module("temporalio.api.errordetails.v1")
protocol: Any = importlib.import_module("temporalio.api.workflowservice.v1")
service: Any = importlib.import_module("temporalio.api.workflowservice.v1.service_pb2_grpc")

NAMESPACE = "orders"


class Frontend(service.WorkflowServiceServicer):  # type: ignore[misc] # of any type, see above
    """The calls that the relay makes. `faults` are for the next starts."""

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}
        self.signals: list[Any] = []
        self.faults: list[Any] = []

    async def GetSystemInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return protocol.GetSystemInfoResponse(server_version="1.29.0")

    async def StartWorkflowExecution(self, request: Any, context: Any) -> Any:  # noqa: N802 - the same
        lost = await self._fault(context)
        if request.namespace != NAMESPACE:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Namespace {request.namespace} unknown")
        known = request.workflow_id in self.started
        self.started.setdefault(request.workflow_id, request)
        if lost:
            await context.abort(grpc.StatusCode.UNKNOWN, "the answer got lost")
        run = str(uuid5(NAMESPACE_URL, request.workflow_id))
        if known:
            await _already_started(context, run)
        return protocol.StartWorkflowExecutionResponse(run_id=run)

    async def SignalWithStartWorkflowExecution(self, request: Any, context: Any) -> Any:  # noqa: N802 - the same
        await self._fault(context)
        self.started.setdefault(request.workflow_id, request)
        self.signals.append(request)
        return protocol.SignalWithStartWorkflowExecutionResponse(
            run_id=str(uuid5(NAMESPACE_URL, request.workflow_id))
        )

    async def _fault(self, context: Any) -> bool:
        """Whether the answer is to be lost."""
        if not self.faults:
            return False
        fault = self.faults.pop(0)
        if fault is not None:
            await context.abort(fault, "as told")
        return True


async def _already_started(context: Any, run: str) -> None:
    detail = packed.Any()
    detail.Pack(details.WorkflowExecutionAlreadyStartedFailure(run_id=run))
    status = statuses.Status(
        code=grpc.StatusCode.ALREADY_EXISTS.value[0], message="already started", details=[detail]
    )
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(grpc.StatusCode.ALREADY_EXISTS, "already started")


@asynccontextmanager
async def frontend() -> AsyncIterator[tuple[Frontend, str]]:
    """A server and its address."""
    found = Frontend()
    server = grpc.aio.server()
    service.add_WorkflowServiceServicer_to_server(found, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield found, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def temporal(**variables: str) -> AsyncIterator[Side]:
    async with AsyncExitStack() as stack:
        front, address = await stack.enter_async_context(frontend())
        settings = {
            "RELAY_TEMPORAL_ADDRESS": address,
            "RELAY_TEMPORAL_NAMESPACE": NAMESPACE,
            "RELAY_TEMPORAL_WORKFLOW": "PlaceOrder",
            "RELAY_TEMPORAL_TASK_QUEUE": "orders",
            **variables,
        }
        destination, traits = await wired(stack, "temporal", settings, [])

        async def started() -> int:
            return len(front.started)

        exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
        denied = grpc.StatusCode.PERMISSION_DENIED
        yield Side(
            destination=destination,
            traits=traits,
            started=started,
            complain=lambda _after: front.faults.append(exhausted),
            deny=lambda: front.faults.extend([denied] * 50),
            lose=lambda: front.faults.append(None),
            tells_wait=False,
        )
