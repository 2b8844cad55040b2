"""Real servers, if the environment names one: they cannot be made to fail, and they keep state.

What a test started is terminated after it, as far as the server allows.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import httpx
from msgspec.structs import replace

from relay.destinations.single_event import hashed_id, text_id
from relay.destinations.temporal import connect
from relay.model.destination import Destination, Limits
from relay.model.event import Event
from relay.model.outcome import Outcome
from tests.destinations.conformance.setups import Setup, opened

VARIABLES = {
    "temporal": "TEMPORAL_ADDRESS",
    "argo": "ARGO_URL",
    "step-functions": "STEP_FUNCTIONS_ARN",
}
"""The environment variable that names a real server of each destination."""


class UniqueIds:
    """Gives every event an id that no earlier test has used, and records the ids."""

    def __init__(self) -> None:
        self._run = f"conformance {uuid.uuid4().hex} "
        self._inner: Destination | None = None
        self.ids: set[str] = set()

    def around(self, inner: Destination) -> Destination:
        """The destination that gets these ids."""
        self._inner = inner
        return self

    def original(self, event: Event) -> Event:
        """The event with the id that the test gave it."""
        return replace(event, id=event.id.removeprefix(self._run))

    @property
    def limits(self) -> Limits:
        assert self._inner is not None
        return self._inner.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        assert self._inner is not None
        own = [replace(event, id=f"{self._run}{event.id}") for event in events]
        self.ids.update(event.id for event in own)
        return await self._inner.send(own)


@dataclass(frozen=True, kw_only=True)
class Server:
    """How to find what a real server runs for an event's id, and how to terminate it."""

    variables: Mapping[str, str]
    runs: Callable[[str], Awaitable[bool]]
    end: Callable[[str], Awaitable[None]]
    sees_conflicts: bool = True


@asynccontextmanager
async def real(name: str) -> AsyncIterator[Setup]:
    """The destination with the server that the environment names."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_SERVERS[name]())
        unique, conflicts = UniqueIds(), list[Event]()
        inner, traits = await opened(
            stack,
            name,
            server.variables,
            lambda event: conflicts.append(unique.original(event)),
        )

        async def started() -> int:
            return sum([await server.runs(one) for one in unique.ids])

        try:
            yield Setup(
                destination=unique.around(inner),
                traits=traits,
                started=started,
                controls=False,
                sees_conflicts=server.sees_conflicts,
                conflicts=conflicts,
            )
        finally:
            for one in unique.ids:
                await server.end(one)


def _given(prefix: str, **names: str) -> dict[str, str]:
    """The relay's settings from the variables of these names that are set."""
    found = {setting: os.environ.get(variable) for setting, variable in names.items()}
    return {f"RELAY_{prefix}_{setting}": value for setting, value in found.items() if value}


@asynccontextmanager
async def _temporal() -> AsyncIterator[Server]:
    variables = {
        "RELAY_TEMPORAL_WORKFLOW": "Conformance",
        "RELAY_TEMPORAL_TASK_QUEUE": "nobody-listens",
        **_given(
            "TEMPORAL",
            ADDRESS="TEMPORAL_ADDRESS",
            NAMESPACE="TEMPORAL_NAMESPACE",
            API_KEY="TEMPORAL_API_KEY",
        ),
    }
    failed: Any = importlib.import_module("temporalio.service").RPCError
    client: Any = await connect(
        variables["RELAY_TEMPORAL_ADDRESS"],
        variables.get("RELAY_TEMPORAL_NAMESPACE", "default"),
        api_key=variables.get("RELAY_TEMPORAL_API_KEY", ""),
    )

    async def runs(event_id: str) -> bool:
        try:
            await client.get_workflow_handle(text_id(event_id)).describe()
        except failed as error:
            if error.status.name != "NOT_FOUND":
                raise
            return False
        return True

    async def end(event_id: str) -> None:
        with contextlib.suppress(failed):
            await client.get_workflow_handle(text_id(event_id)).terminate("the test is over")

    yield Server(variables=variables, runs=runs, end=end, sees_conflicts=False)


@asynccontextmanager
async def _argo() -> AsyncIterator[Server]:
    variables = _given(
        "ARGO",
        URL="ARGO_URL",
        NAMESPACE="ARGO_NAMESPACE",
        TEMPLATE="ARGO_TEMPLATE",
        TOKEN="ARGO_TOKEN",
        CA_FILE="ARGO_CA_FILE",
    )
    token = variables.get("RELAY_ARGO_TOKEN", "").removeprefix("Bearer ")
    authority = variables.get("RELAY_ARGO_CA_FILE")
    namespace = variables.get("RELAY_ARGO_NAMESPACE", "argo")
    async with httpx.AsyncClient(
        base_url=f"{variables['RELAY_ARGO_URL']}/api/v1/workflows/{namespace}/",
        headers={"authorization": f"Bearer {token}"} if token else {},
        verify=ssl.create_default_context(cafile=authority) if authority else True,
    ) as client:

        async def runs(event_id: str) -> bool:
            answer = await client.get(hashed_id(event_id))
            assert answer.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND), answer.text
            return answer.status_code == httpx.codes.OK

        async def end(event_id: str) -> None:
            await client.delete(hashed_id(event_id))

        yield Server(variables=variables, runs=runs, end=end)


@asynccontextmanager
async def _step_functions() -> AsyncIterator[Server]:
    arn = os.environ["STEP_FUNCTIONS_ARN"]
    client = boto3.client("stepfunctions", region_name=arn.split(":")[3])
    executions = arn.replace(":stateMachine:", ":execution:")

    async def runs(event_id: str) -> bool:
        try:
            client.describe_execution(executionArn=f"{executions}:{hashed_id(event_id)}")
        except client.exceptions.ExecutionDoesNotExist:
            return False
        return True

    async def end(event_id: str) -> None:
        with contextlib.suppress(client.exceptions.ClientError):
            client.stop_execution(executionArn=f"{executions}:{hashed_id(event_id)}")

    variables = {"RELAY_STEP_FUNCTIONS_ARN": arn}
    try:
        yield Server(variables=variables, runs=runs, end=end)
    finally:
        client.close()


_SERVERS = {"temporal": _temporal, "argo": _argo, "step-functions": _step_functions}
