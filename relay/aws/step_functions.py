"""Step Functions: a client of one state machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from relay.aws.errors import translate
from relay.aws.session import Session

_MACHINE_PARTS = 7
"""The parts of a state machine's ARN. A version or an alias adds one."""


@dataclass(frozen=True, slots=True)
class StartedExecution:
    """An execution: its ARN, start (epoch seconds) and, after `look_up`, its input."""

    arn: str
    started_at: float
    text: str | None = None


class StateMachineClient:
    """A state machine by its ARN, which may name a version or an alias.

    Each method sends one request, and raises `AwsError` if it fails.
    """

    def __init__(self, session: Callable[[], Awaitable[Session]], arn: str) -> None:
        self._session = session
        self._arn = arn
        parts = arn.split(":")
        self._base = ":".join(parts[:_MACHINE_PARTS])
        self._region = parts[3] if len(parts) >= _MACHINE_PARTS else None

    async def is_express(self) -> bool:
        """Whether the state machine, with its versions and aliases, is of type EXPRESS."""
        client = await self._client()
        action = "states:DescribeStateMachine"
        try:
            answer = await client.describe_state_machine(stateMachineArn=self._base)
        except Exception as error:
            raise translate(error, action, self._base) from error
        return bool(answer["type"] == "EXPRESS")

    async def start(self, name: str, text: str) -> StartedExecution:
        """Start an execution of this name with this input."""
        client = await self._client()
        try:
            answer = await client.start_execution(stateMachineArn=self._arn, name=name, input=text)
        except Exception as error:
            raise translate(error, "states:StartExecution", self._arn) from error
        return StartedExecution(answer["executionArn"], answer["startDate"].timestamp())

    async def look_up(self, name: str) -> StartedExecution:
        """The execution of this name, with its input."""
        client = await self._client()
        arn = f"{self._base.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            answer = await client.describe_execution(executionArn=arn)
        except Exception as error:
            raise translate(error, "states:DescribeExecution", arn) from error
        return StartedExecution(arn, answer["startDate"].timestamp(), answer.get("input"))

    async def _client(self) -> Any:
        session = await self._session()
        return await session.client("stepfunctions", self._region)
