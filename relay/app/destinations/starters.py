"""Step Functions, wired: AWS's state machine as the destination asks for it."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import TypeVar

from relay.app.destinations.connections import (
    Conflict,
    KeptSecret,
    RegisterSecret,
    Started,
    peer,
    tls,
)
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.aws.step_functions import StartedExecution, StateMachineClient
from relay.destinations.argo import ARGO_URL, Argo
from relay.destinations.bullmq import BullMQ
from relay.destinations.prefect import PREFECT_URL, Prefect
from relay.destinations.step_functions import Execution, StatesError, StepFunctions
from relay.settings.model import Settings


async def argo(
    settings: Settings, stack: AsyncExitStack, conflict: Conflict, register_secret: RegisterSecret
) -> Started:
    """Makes workflows out of the template that the settings name."""
    token = KeptSecret(settings, "argo_token", register_secret)
    trust = tls(authority=settings.argo_ca_file)
    starter = Argo(
        await peer(stack, settings, settings.argo_url or "", ARGO_URL, tls=trust),
        settings.argo_namespace,
        settings.argo_template or "",
        credential=token.bearer,
        kind="ClusterWorkflowTemplate" if settings.argo_cluster_template else "WorkflowTemplate",
        parameter=settings.argo_parameter,
        what=settings.content,
        conflict=conflict,
    )
    return Started(starter, token.refresh)


async def prefect(
    settings: Settings, stack: AsyncExitStack, register_secret: RegisterSecret
) -> Started:
    """Starts flow runs of the deployment that the settings name."""
    key = KeptSecret(settings, "prefect_api_key", register_secret)
    starter = Prefect(
        await peer(stack, settings, settings.prefect_api_url or "", PREFECT_URL),
        settings.prefect_deployment or "",
        credential=key.bearer,
        parameter=settings.prefect_parameter,
        what=settings.content,
    )
    return Started(starter, key.refresh)


async def bullmq(settings: Settings, stack: AsyncExitStack) -> Started:
    """Adds jobs to the queue that the settings name."""
    url = settings.bullmq_url.get_secret_value() if settings.bullmq_url else ""
    starter = BullMQ(
        url,
        settings.bullmq_queue or "",
        prefix=settings.bullmq_prefix,
        attempts=settings.bullmq_attempts,
        kept=settings.bullmq_job_retention,
        what=settings.content,
        timeout=settings.request_timeout,
        in_flight=settings.request_concurrency,
    )
    return Started(await stack.enter_async_context(starter))


T = TypeVar("T")


class StatesMachine:
    """AWS's answers and errors in the destination's own words."""

    def __init__(self, machine: StateMachineClient) -> None:
        self._machine = machine

    async def is_express(self) -> bool:
        """Whether it is of type EXPRESS."""
        return await _translated(self._machine.is_express())

    async def start(self, name: str, text: str) -> Execution:
        """Start an execution of this name with this input."""
        return _execution(await _translated(self._machine.start(name, text)))

    async def look_up(self, name: str) -> Execution:
        """The execution of this name."""
        return _execution(await _translated(self._machine.look_up(name)))


async def _translated(call: Awaitable[T]) -> T:
    try:
        return await call
    except AwsError as error:
        raise StatesError(
            error.code, error.kind, error.sentence, variable=error.variable
        ) from error


def _execution(started: StartedExecution) -> Execution:
    return Execution(started.arn, started.started_at, started.text)


def step_functions(settings: Settings, session: SharedSession, conflict: Conflict) -> Started:
    """Starts executions of the state machine that the settings name."""
    machine = StatesMachine(StateMachineClient(session, settings.step_functions_arn or ""))
    starter = StepFunctions(
        machine,
        express=settings.step_functions_allow_express,
        timeout=settings.request_timeout,
        what=settings.content,
        conflict=conflict,
    )
    return Started(starter)
