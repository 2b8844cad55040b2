"""Step Functions, wired: AWS's state machine as the destination asks for it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from relay.aws.errors import QueueError
from relay.aws.states import Machine, StartedExecution
from relay.destinations.step_functions import Execution, StatesError

T = TypeVar("T")


class StatesMachine:
    """AWS's answers and errors in the destination's own words."""

    def __init__(self, machine: Machine) -> None:
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
    except QueueError as error:
        raise StatesError(
            error.code, error.kind, error.sentence, variable=error.variable
        ) from error


def _execution(started: StartedExecution) -> Execution:
    return Execution(started.arn, started.began, started.text)
