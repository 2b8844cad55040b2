"""A running relay notices delivered events that no function listens to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from relay.destinations.inngest.answers import Answer
from relay.dlq.safeguards import RateLimit
from relay.local.inngest import Function
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.facts import Handled
from relay.model.message import Message
from relay.model.outcome import Delivered, Retry
from relay.ops.audit.requests import BoundedRequests
from relay.ops.audit.unheard import MAX_LOOKED_UP, MAX_NAMES, UnheardSweep
from relay.ops.inngest_api import SETTLE
from tests.ops.audit.conftest import World, at_once
from tests.ops.audit.scripted import ScriptedQueries, listed, usual

REFERENCE = "01M8NY0AAMK38GQM6KRZ2K7000"


def delivered(name: str, reference: str | None = REFERENCE, at: float = 0.0) -> Handled:
    event, outcome = Event("e-1", name, message_id="m"), Delivered(reference)
    message = Message(body=b"", message_id="m", queue="events")
    return Handled(
        message=message, outcome=outcome, at=at, seconds=0.1, results=((event, outcome),)
    )


def sweep_of(queries: Any, now: float = 0.0, signals: tuple[str, ...] = ()) -> UnheardSweep:
    requests = BoundedRequests(queries, RateLimit(None), sleep=at_once)
    return UnheardSweep(requests, signals, clock=lambda: now)


async def test_names_that_no_function_listens_to_are_found_with_the_nearest(world: World) -> None:
    async with world.queries() as queries:
        sweep = sweep_of(queries)
        for name in ("media/uploaded", "media/uplaoded", "media/stop", "shop/x"):
            sweep.observe(delivered(name))
        await sweep.sweep()
    assert sweep.unheard == {"media/uplaoded": "media/uploaded"}


async def test_a_name_is_reported_until_a_function_listens_to_it(world: World) -> None:
    async with world.queries() as queries:
        sweep = sweep_of(queries)
        sweep.observe(delivered("media/new"))
        for _ in range(2):
            await sweep.sweep()
            assert list(sweep.unheard) == ["media/new"]
        world.server.functions.append(Function(name="new", on="media/new", app="media"))
        await sweep.sweep()
    assert sweep.unheard == {}


async def test_signals_are_not_reported() -> None:
    sweep = sweep_of(ScriptedQueries(), signals=("media/app*",))
    sweep.observe(delivered("media/approved"))
    await sweep.sweep()
    assert sweep.unheard == {}


async def test_without_deliveries_nothing_is_asked() -> None:
    queries = ScriptedQueries()
    sweep = sweep_of(queries)
    sweep.observe(delivered("media/none", reference=None))
    sweep.observe(delivered("media/none", reference="arn:of:another:destination"))
    await sweep.sweep()
    assert queries.paths == []


async def test_an_event_that_was_not_delivered_is_not_in_the_sample() -> None:
    sweep = sweep_of(ScriptedQueries())
    event, outcome = Event("e-1", "media/none", message_id="m"), Retry("later")
    message = Message(body=b"", message_id="m", queue="events")
    sweep.observe(
        Handled(message=message, outcome=outcome, at=0.0, seconds=0.1, results=((event, outcome),))
    )
    assert sweep.pending == {}


async def test_the_sample_is_bounded() -> None:
    sweep = sweep_of(ScriptedQueries())
    for number in range(3 * MAX_NAMES):
        sweep.observe(delivered(f"media/{number}"))
    assert len(sweep.pending) == MAX_NAMES


async def test_a_server_out_of_reach_keeps_the_sample() -> None:
    def answer(_path: str) -> Any:
        raise Unavailable("no answer")

    sweep = sweep_of(ScriptedQueries(answer))
    sweep.observe(delivered("media/none"))
    with pytest.raises(Unavailable):
        await sweep.sweep()
    assert list(sweep.pending) == ["media/none"]


async def test_without_a_list_of_functions_runs_decide_once_they_can() -> None:
    def answer(path: str) -> Any:
        if path.endswith("/apps"):
            return Answer(404, "", {})
        return listed() if path.endswith("/runs") else usual(path)

    now = time.time()
    young = sweep_of(ScriptedQueries(answer), now)
    young.observe(delivered("media/none", at=now - SETTLE + 1))
    await young.sweep()
    assert (young.unheard, list(young.pending)) == ({}, ["media/none"])
    old = sweep_of(ScriptedQueries(answer), now)
    for number in range(MAX_LOOKED_UP + 5):
        old.observe(delivered(f"media/{number}", at=now - SETTLE))
    await old.sweep()
    assert (len(old.unheard), len(old.pending)) == (MAX_LOOKED_UP, 5)
