"""Step Functions: a client of one state machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from relay.aws.errors import calling, read_text
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
        with calling(action, self._base):
            answer = await client.describe_state_machine(stateMachineArn=self._base)
            return bool(answer["type"] == "EXPRESS")

    async def start(self, name: str, text: str) -> StartedExecution:
        """Start an execution of this name with this input."""
        client = await self._client()
        with calling("states:StartExecution", self._arn):
            answer = await client.start_execution(stateMachineArn=self._arn, name=name, input=text)
            started_at = answer["startDate"].timestamp()
            return StartedExecution(read_text(answer["executionArn"]), started_at)

    async def look_up(self, name: str) -> StartedExecution:
        """The execution of this name, with its input."""
        client = await self._client()
        arn = f"{self._base.replace(':stateMachine:', ':execution:')}:{name}"
        with calling("states:DescribeExecution", arn):
            answer = await client.describe_execution(executionArn=arn)
            known = answer.get("input")
            started_at = answer["startDate"].timestamp()
            return StartedExecution(arn, started_at, None if known is None else read_text(known))

    async def _client(self) -> Any:
        session = await self._session()
        return await session.client("stepfunctions", self._region)
