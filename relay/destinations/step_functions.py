"""Step Functions: starts one execution for each event, named after the event.

A STANDARD state machine reserves a name for 90 days after its execution ended. While the execution
runs, a start with the same name and input returns it; any other repeat is `ExecutionAlreadyExists`
(API reference, StartExecution). An EXPRESS state machine does not recognise a repeated name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from relay.destinations.single_event import Content, content, hashed_id
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import REFUSED, Delivered, Outcome, Reject
from relay.model.traits import Traits

ARN = "RELAY_STEP_FUNCTIONS_ARN"
EXPRESS = "RELAY_STEP_FUNCTIONS_ALLOW_EXPRESS"

NAME_RESERVED = 90 * 86_400.0
INPUT_BYTES = 262_144
"""Both are quotas of the service."""

CLOCK_SKEW = 60.0
"""Seconds by which clocks may differ: an execution started earlier is from an earlier attempt."""

STANDARD = Traits(
    name="Step Functions",
    recognised_by="the execution's name",
    dedup_window=NAME_RESERVED,
    durable=True,
    reports_duplicates=True,
    event_bytes=INPUT_BYTES,
)
EXPRESS_TRAITS = Traits(
    name="Step Functions (EXPRESS)",
    recognised_by=None,
    dedup_window=0.0,
    durable=True,
    event_bytes=INPUT_BYTES,
)


_MISSING_CODES = (
    "StateMachineDoesNotExist",
    "StateMachineDeleting",
    "InvalidArn",
    "ResourceNotFound",
)
_LIMIT_CODES = ("ExecutionLimitExceeded",)
_BAD_INPUT_CODES = ("InvalidExecutionInput",)
_HALTING_KINDS = ("credentials", "denied", "missing", "kms", "misconfigured")


def traits(*, express: bool) -> Traits:
    """The traits of a state machine; the weaker ones where EXPRESS is allowed."""
    return EXPRESS_TRAITS if express else STANDARD


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution: its ARN, its start (epoch seconds) and its input, if that is known."""

    arn: str
    started_at: float
    text: str | None = None


class StatesError(Exception):
    """A failed call. `kind` is one of `relay.aws.errors`, `code` is the service's own.

    `variable` is the environment variable to check when this host is misconfigured, if known.
    """

    def __init__(self, code: str, kind: str, sentence: str, *, variable: str | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.kind = kind
        self.sentence = sentence
        self.variable = variable


class StateMachine(Protocol):
    """One state machine. Each call is one request, and each may raise `StatesError`."""

    async def is_express(self) -> bool:
        """Whether it is of type EXPRESS."""
        ...

    async def start(self, name: str, text: str) -> Execution:
        """Start an execution of this name with this input."""
        ...

    async def look_up(self, name: str) -> Execution:
        """The execution of this name."""
        ...


class StepFunctions:
    """Starts executions of one state machine, or of a version or alias of it.

    Args:
        machine: the state machine.
        express: allow an EXPRESS one, where a repeated start runs twice.
        what: the whole event as input, or its data only.
        on_conflict: called with an event whose execution exists with other input.
        timeout: seconds for the start of one event, including its lookups.
        clock: the time of day.
    """

    def __init__(
        self,
        machine: StateMachine,
        *,
        express: bool = False,
        what: Content = "event",
        on_conflict: Callable[[Event], None] = lambda _event: None,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._machine = machine
        self._timeout = timeout
        self._express = express
        self._what = what
        self._on_conflict = on_conflict
        self._clock = clock
        self._checked = False

    @property
    def traits(self) -> Traits:
        """The state machine's traits."""
        return traits(express=self._express)

    def payload(self, event: Event) -> bytes:
        """The input. A running execution is recognised by its name and its input."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Start one execution; `Delivered.reference` is its ARN."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._start(event, payload)
        except TimeoutError:
            raise Unavailable(f"Step Functions gave no answer in {self._timeout:g} s") from None

    async def _start(self, event: Event, payload: bytes) -> Outcome:
        name, text = hashed_id(event.id), payload.decode()
        now = self._clock()
        try:
            await self._check_type()
            execution = await self._machine.start(name, text)
        except StatesError as error:
            if error.code == "ExecutionAlreadyExists":
                return await self._duplicate(event, name, text)
            return _failed(error)
        self._check_arn(execution.arn)
        return Delivered(execution.arn, duplicate=execution.started_at < now - CLOCK_SKEW)

    async def _duplicate(self, event: Event, name: str, text: str) -> Outcome:
        try:
            known = await self._machine.look_up(name)
        except StatesError:
            # The lookup may not be permitted; the execution exists anyway.
            return Delivered(duplicate=True)
        if known.text is not None and known.text != text:
            self._on_conflict(event)
        return Delivered(known.arn, duplicate=True)

    async def _check_type(self) -> None:
        if self._checked or self._express:
            return
        try:
            express = await self._machine.is_express()
        except StatesError as error:
            if error.kind != "denied":
                raise
            express = False  # the ARN of the first execution also shows the type
        if express:
            raise _not_express(not_accepted=True)
        self._checked = True

    def _check_arn(self, arn: str) -> None:
        if ":express:" in arn and not self._express:
            self._checked = False
            raise _not_express(not_accepted=False)


def _not_express(*, not_accepted: bool) -> Unavailable:
    return Unavailable(
        f"the state machine is EXPRESS, which runs a repeated event twice; {EXPRESS}=true allows"
        " that",
        setting=ARN,
        proven=True,
        not_accepted=not_accepted,
    )


def _failed(error: StatesError) -> Outcome:
    if error.code in _BAD_INPUT_CODES:
        return Reject(REFUSED, error.sentence)
    if error.code in _MISSING_CODES or error.kind in _HALTING_KINDS:
        setting = error.variable or ARN
        raise Unavailable(error.sentence, setting=setting, proven=True, not_accepted=True)
    if error.code in _LIMIT_CODES or error.kind == "throttled":
        raise Unavailable(error.sentence, proven=True, not_accepted=True)
    raise Unavailable(error.sentence, proven=error.kind == "expired-credentials")
