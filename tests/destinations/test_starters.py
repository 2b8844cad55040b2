"""Ids in each destination's form, Step Functions' errors, outcomes of several events, traits."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.app.destinations.traits import traits_of
from relay.destinations.single_event import (
    SingleEventDestination,
    hashed_id,
    header_id,
    json_string,
    text_id,
)
from relay.destinations.step_functions import Execution, StatesError, StepFunctions
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.model.traits import WHILE_IT_EXISTS, Traits, warnings
from relay.settings.model import Settings

EVENT = Event(id="e-1", name="order/placed", data=b'{"n": 1.10}')


@given(st.text())
def test_ids_are_valid_for_their_destinations(event_id: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{46}", hashed_id(event_id))
    assert 0 < len(text_id(event_id).encode()) <= 255
    assert re.fullmatch(r"[!-~]([ -~]{0,254}[!-~])?", header_id(event_id))


@given(st.text(), st.text())
def test_different_ids_have_different_keys(one: str, other: str) -> None:
    for encode in (hashed_id, text_id, header_id):
        assert (encode(one) == encode(other)) == (one == other)
        assert encode(hashed_id(one)) != encode(one)


def test_hashed_ids_never_change() -> None:
    assert hashed_id("e-1") == "relay-b94f523196aaacd8bdb9ef0d8cf2e1d8f9b766ab"


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_json_in_a_json_string_is_unchanged(value: object) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert json.loads(json_string(text).decode("utf-8", "surrogatepass")) == text.decode(
        "utf-8", "surrogatepass"
    )


class Machine:
    """A scripted state machine."""

    def __init__(self, answer: Execution | StatesError, *, express: bool = False) -> None:
        self.answer = answer
        self.express = express
        self.names: list[str] = []

    async def is_express(self) -> bool:
        return self.express

    async def start(self, name: str, text: str) -> Execution:
        self.names.append(name)
        if isinstance(self.answer, StatesError):
            raise self.answer
        return self.answer

    async def look_up(self, name: str) -> Execution:
        raise StatesError("AccessDenied", "denied", "not allowed")


async def start(machine: Machine, *, express: bool = False) -> Outcome:
    states = StepFunctions(machine, express=express, clock=lambda: 1_000.0)
    return await states.start(EVENT, states.payload(EVENT))


async def test_an_express_machine_is_refused_before_anything_runs() -> None:
    machine = Machine(Execution("arn:aws:states:x:1:express:m:n", 1_000.0), express=True)
    with pytest.raises(Unavailable) as caught:
        await start(machine)
    assert caught.value.setting == "RELAY_STEP_FUNCTIONS_ARN"
    assert machine.names == []
    assert await start(machine, express=True) == Delivered("arn:aws:states:x:1:express:m:n")


async def test_the_arn_of_an_execution_also_reveals_an_express_machine() -> None:
    with pytest.raises(Unavailable, match="EXPRESS"):
        await start(Machine(Execution("arn:aws:states:x:1:express:m:n", 1_000.0)))


async def test_an_execution_that_started_long_ago_is_a_duplicate() -> None:
    assert await start(Machine(Execution("arn", 10.0))) == Delivered("arn", duplicate=True)
    assert await start(Machine(Execution("arn", 999.0))) == Delivered("arn")


async def test_a_duplicate_is_recognised_without_permission_to_look_it_up() -> None:
    exists = StatesError("ExecutionAlreadyExists", "other", "it exists")
    assert await start(Machine(exists)) == Delivered(duplicate=True)


@pytest.mark.parametrize(
    ("code", "kind", "setting", "proven"),
    [
        ("StateMachineDoesNotExist", "other", "RELAY_STEP_FUNCTIONS_ARN", True),
        ("AccessDeniedException", "denied", "RELAY_STEP_FUNCTIONS_ARN", True),
        ("RequestTimeTooSkewed", "misconfigured", "RELAY_STEP_FUNCTIONS_ARN", True),
        ("ExecutionLimitExceeded", "other", None, True),
        ("ThrottlingException", "throttled", None, True),
        ("ServiceUnavailable", "connection", None, False),
        ("ValidationException", "other", None, False),
    ],
)
async def test_errors_of_the_service_are_classified(
    code: str, kind: str, setting: str | None, *, proven: bool
) -> None:
    with pytest.raises(Unavailable) as caught:
        await start(Machine(StatesError(code, kind, "failed")))
    assert (caught.value.setting, caught.value.proven) == (setting, proven)


async def test_an_invalid_input_rejects_the_event() -> None:
    outcome = await start(Machine(StatesError("InvalidExecutionInput", "other", "failed")))
    assert isinstance(outcome, Reject)


async def test_a_state_machine_that_does_not_answer_times_out() -> None:
    class Silent(Machine):
        async def start(self, name: str, text: str) -> Execution:
            await asyncio.Event().wait()
            raise AssertionError

    states = StepFunctions(Silent(Execution("arn", 0.0)), timeout=0.05)
    with pytest.raises(Unavailable, match="no answer"):
        await states.start(EVENT, b"{}")


class Fickle:
    """Accepts every event except those whose id starts with `bad`, which get no answer."""

    traits = Traits(name="Fickle", recognised_by="x", dedup_window=WHILE_IT_EXISTS, durable=True)

    def payload(self, event: Event) -> bytes:
        return event.wire

    async def start(self, event: Event, payload: bytes) -> Outcome:
        if event.id.startswith("bad"):
            raise Unavailable("none", after=3.0)
        return Delivered(event.id)


async def test_an_event_without_an_answer_beside_others_with_one_is_retried() -> None:
    events = [Event(id=one, name="a") for one in ("a", "bad", "b")]
    destination = SingleEventDestination(Fickle(), 4)
    assert await destination.send(events) == [Delivered("a"), Retry("none", 3.0), Delivered("b")]
    with pytest.raises(Unavailable):
        await destination.send([Event(id="bad-1", name="a"), Event(id="bad-2", name="a")])


def test_weak_traits_cause_warnings() -> None:
    forgetful = Traits(name="D", recognised_by="the id", dedup_window=86_400.0, durable=False)
    sentences = list(warnings(forgetful, 1_209_600.0))
    assert len(sentences) == 2
    assert "remembers an id for 1 day, and the queue keeps messages for 14 days" in sentences[0]
    assert list(warnings(Fickle.traits, 1_209_600.0)) == []


@pytest.mark.parametrize(
    ("url", "forgets"), [("https://inn.gs", False), ("http://inngest:8288", True)]
)
def test_a_server_of_ones_own_remembers_ids_only_until_it_restarts(
    url: str, *, forgets: bool
) -> None:
    traits = traits_of(Settings(inngest_url=url), "inngest")
    assert traits.forgets_at_restart is forgets
    (sentence,) = warnings(traits, 1_209_600.0)
    assert ("1 day at most and only until it restarts" in sentence) is forgets


@pytest.mark.parametrize(
    ("known_by", "dedup_window", "safe_repeat_window"),
    [
        ("the id", 86_400.0, 82_800.0),
        ("the id", 3_600.0, 2_700.0),
        ("the id", WHILE_IT_EXISTS, WHILE_IT_EXISTS),
        ("the id", 0.0, 0.0),
        (None, 86_400.0, 0.0),
    ],
)
def test_the_safe_repeat_window_is_shorter_than_the_dedup_window(
    known_by: str | None, dedup_window: float, safe_repeat_window: float
) -> None:
    traits = Traits(name="D", recognised_by=known_by, dedup_window=dedup_window, durable=True)
    assert traits.safe_repeat_window == safe_repeat_window
