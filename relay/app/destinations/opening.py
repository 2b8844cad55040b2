"""Opens a destination other than Inngest by its name, from its group of settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from relay.app.destinations import bullmq, temporal, webhook
from relay.app.destinations.connections import (
    OnConflict,
    OpenedStarter,
    RegisterSecret,
    SecretSetting,
    ignore_secret,
    open_endpoint,
    tls_context,
)
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.aws.step_functions import StartedExecution, StateMachineClient
from relay.destinations.argo import ARGO_URL, Argo
from relay.destinations.prefect import PREFECT_URL, Prefect
from relay.destinations.single_event import SingleEventDestination
from relay.destinations.step_functions import Execution, StatesError, StepFunctions
from relay.settings.model import Settings

T = TypeVar("T")


@contextlib.asynccontextmanager
async def open_single_event_destination(
    name: str,
    settings: Settings,
    session: SharedSession,
    on_conflict: OnConflict,
    register_secret: RegisterSecret = ignore_secret,
) -> AsyncIterator[tuple[SingleEventDestination, Callable[[], Awaitable[None]]]]:
    """The destination, for as long as the block runs, and a function that refreshes its secrets.

    `on_conflict` is called with an event whose id was used for other content, `register_secret`
    with each secret that was looked up.

    Raises:
        OSError: a certificate file cannot be read.
    """
    async with AsyncExitStack() as stack:
        opened = await _open_starter(name, settings, stack, session, on_conflict, register_secret)
        yield SingleEventDestination(opened.starter, settings.request_concurrency), opened.refresh


async def _open_starter(
    name: str,
    settings: Settings,
    stack: AsyncExitStack,
    session: SharedSession,
    on_conflict: OnConflict,
    register_secret: RegisterSecret,
) -> OpenedStarter:
    match name:
        case "step-functions":
            return _open_step_functions(settings, session, on_conflict)
        case "temporal":
            return temporal.open_starter(settings, register_secret)
        case "prefect":
            return await _open_prefect(settings, stack, register_secret)
        case "argo":
            return await _open_argo(settings, stack, on_conflict, register_secret)
        case "webhook":
            return webhook.open_starter(settings, stack, register_secret)
        case "bullmq":
            return bullmq.open_starter(settings, stack, register_secret)
    raise AssertionError(f"no destination is called {name}")


async def _open_argo(
    settings: Settings,
    stack: AsyncExitStack,
    on_conflict: OnConflict,
    register_secret: RegisterSecret,
) -> OpenedStarter:
    token = SecretSetting(settings, "argo_token", register_secret)
    tls = tls_context(ca_file=settings.argo_ca_file)
    starter = Argo(
        await open_endpoint(stack, settings, settings.argo_url or "", ARGO_URL, tls=tls),
        settings.argo_namespace,
        settings.argo_template or "",
        credential=token.authorization,
        kind="ClusterWorkflowTemplate" if settings.argo_cluster_template else "WorkflowTemplate",
        parameter=settings.argo_parameter,
        what=settings.content,
        on_conflict=on_conflict,
    )
    return OpenedStarter(starter, token.refresh)


async def _open_prefect(
    settings: Settings, stack: AsyncExitStack, register_secret: RegisterSecret
) -> OpenedStarter:
    key = SecretSetting(settings, "prefect_api_key", register_secret)
    tls = tls_context(ca_file=settings.prefect_ca_file)
    starter = Prefect(
        await open_endpoint(stack, settings, settings.prefect_api_url or "", PREFECT_URL, tls=tls),
        settings.prefect_deployment or "",
        credential=key.authorization,
        parameter=settings.prefect_parameter,
        what=settings.content,
    )
    return OpenedStarter(starter, key.refresh)


def _open_step_functions(
    settings: Settings, session: SharedSession, on_conflict: OnConflict
) -> OpenedStarter:
    client = StateMachineClient(session, settings.step_functions_arn or "")
    starter = StepFunctions(
        AwsStateMachine(client),
        express=settings.step_functions_allow_express,
        timeout=settings.request_timeout,
        what=settings.content,
        on_conflict=on_conflict,
    )
    return OpenedStarter(starter)


class AwsStateMachine:
    """Adapts the AWS client to the destination's `StateMachine`, results and errors included."""

    def __init__(self, client: StateMachineClient) -> None:
        self._client = client

    async def is_express(self) -> bool:
        """Whether it is of type EXPRESS."""
        return await _translated(self._client.is_express())

    async def start(self, name: str, text: str) -> Execution:
        """Start an execution of this name with this input."""
        return _execution(await _translated(self._client.start(name, text)))

    async def look_up(self, name: str) -> Execution:
        """The execution of this name."""
        return _execution(await _translated(self._client.look_up(name)))


async def _translated(call: Awaitable[T]) -> T:
    try:
        return await call
    except AwsError as error:
        raise StatesError(
            error.code, error.kind, error.sentence, variable=error.variable
        ) from error


def _execution(started: StartedExecution) -> Execution:
    return Execution(started.arn, started.started_at, started.text)
