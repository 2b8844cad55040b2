"""Step Functions: one execution for each event, named after it.

A STANDARD state machine knows a name again for 90 days after its execution ended. While that runs,
the same name with the same input is answered with the execution there is; any other repeat is
`ExecutionAlreadyExists` (API reference, StartExecution). An EXPRESS one knows nothing again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from relay.destinations.single_event import REFUSED, Content, content, hashed
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from relay.model.traits import Traits

ARN = "RELAY_STEP_FUNCTIONS_ARN"
EXPRESS = "RELAY_STEP_FUNCTIONS_ALLOW_EXPRESS"

NAMED_FOR = 90 * 86_400.0
INPUT_BYTES = 262_144
"""Both from the service's quotas."""

OLD = 60.0
"""Seconds, more than clocks differ by: an execution that began earlier was not begun by us now."""

STANDARD = Traits(
    name="Step Functions",
    recognised_by="the execution's name",
    dedup_window=NAMED_FOR,
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


def traits(*, express: bool) -> Traits:
    """What a state machine promises; the weaker promise where EXPRESS is allowed."""
    return EXPRESS_TRAITS if express else STANDARD


_GONE = ("StateMachineDoesNotExist", "StateMachineDeleting", "InvalidArn", "ResourceNotFound")
_FULL = ("ExecutionLimitExceeded",)
_BAD_INPUT = ("InvalidExecutionInput",)
_HALTING = ("denied", "missing", "kms", "misconfigured")


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution that runs or ran: its ARN, when it began (epoch seconds), its input if known."""

    arn: str
    began: float
    text: str | None = None


class StatesError(Exception):
    """AWS did not do it. `kind` is one of `relay.aws.errors`; `code` the service's own.

    `variable` is what to look at where this machine has set something up wrong, if that is known.
    """

    def __init__(self, code: str, kind: str, sentence: str, *, variable: str | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.kind = kind
        self.sentence = sentence
        self.variable = variable


class StateMachine(Protocol):
    """One state machine. Each call is one request; all raise `StatesError`."""

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
        machine: which one.
        express: an EXPRESS one is allowed, where a repeated start runs twice.
        what: the whole event as input, or its data only.
        conflict: called with an event whose name was used for another input.
        timeout: seconds for the start of one event, with the questions that it takes.
        clock: the time of day.
    """

    def __init__(
        self,
        machine: StateMachine,
        *,
        express: bool = False,
        what: Content = "event",
        conflict: Callable[[Event], None] = lambda _event: None,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._machine = machine
        self._timeout = timeout
        self._express = express
        self._what = what
        self._conflict = conflict
        self._clock = clock
        self._checked = False

    @property
    def traits(self) -> Traits:
        """What the state machine promises."""
        return traits(express=self._express)

    def payload(self, event: Event) -> bytes:
        """The input. It counts too: a running execution is recognised by name and input."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One StartExecution; `Delivered.reference` is the execution's ARN."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._start(event, payload)
        except TimeoutError:
            raise Unavailable(f"Step Functions gave no answer in {self._timeout:g} s") from None

    async def _start(self, event: Event, payload: bytes) -> Outcome:
        name, text = hashed(event.id), payload.decode()
        began = self._clock()
        try:
            await self._refuse_express()
            made = await self._machine.start(name, text)
        except StatesError as error:
            if error.code == "ExecutionAlreadyExists":
                return await self._duplicate(event, name, text)
            return _failed(error)
        self._refuse_arn(made.arn)
        return Delivered(made.arn, duplicate=made.began < began - OLD)

    async def _duplicate(self, event: Event, name: str, text: str) -> Outcome:
        try:
            known = await self._machine.look_up(name)
        except StatesError:
            # It may be forbidden to look, and it exists all the same.
            return Delivered(duplicate=True)
        if known.text is not None and known.text != text:
            self._conflict(event)
        return Delivered(known.arn, duplicate=True)

    async def _refuse_express(self) -> None:
        if self._checked or self._express:
            return
        try:
            express = await self._machine.is_express()
        except StatesError as error:
            if error.kind != "denied":
                raise
            express = False  # the ARN of the first execution tells it too
        if express:
            raise _not_express(not_accepted=True)
        self._checked = True

    def _refuse_arn(self, arn: str) -> None:
        if ":express:" in arn and not self._express:
            self._checked = False
            raise _not_express(not_accepted=False)


def _not_express(*, not_accepted: bool) -> Unavailable:
    return Unavailable(
        f"the state machine is EXPRESS, which runs a repeated event twice; {EXPRESS} allows it",
        setting=ARN,
        proven=True,
        not_accepted=not_accepted,
    )


def _failed(error: StatesError) -> Outcome:
    if error.code in _BAD_INPUT:
        return Reject(REFUSED, error.sentence)
    if error.code in _GONE or error.kind in _HALTING:
        setting = error.variable or ARN
        raise Unavailable(error.sentence, setting=setting, proven=True, not_accepted=True)
    if error.code in _FULL or error.kind == "throttled":
        raise Unavailable(error.sentence, proven=True, not_accepted=True)
    raise Unavailable(error.sentence, proven=error.kind == "expired-credentials")
