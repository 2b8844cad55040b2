"""What became of accepted events, by state, name, function and hour."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from relay.local.inngest import Function
from relay.ops.audit.report import MAX_KEYS, OTHERS, UnheardName
from tests.ops.audit.conftest import World, found, log_lines

FAR = int((time.time() + 86_400) * 1000)


async def test_each_event_is_in_the_state_of_its_runs(world: World) -> None:
    await world.post(
        {"name": "media/uploaded", "id": "a"},
        {"name": "media/broken", "id": "b"},
        {"name": "media/long", "id": "c"},
        {"name": "media/stopped", "id": "d"},
        {"name": "media/stop", "id": "e"},
        {"name": "media/uploaded", "id": "f", "ts": FAR},
        {"name": "media/uplaoded", "id": "g"},
        {"name": "shop/paid", "id": "h"},
        {"name": "media/two", "id": "i"},
    )
    report = await world.audit()
    assert found(report) == {
        "completed": 2,
        "failed": 2,
        "running": 1,
        "cancelled": 1,
        "signal": 1,
        "waiting": 1,
        "unheard": 1,
    }
    assert report.complete
    assert report.by_name["media/uploaded"] == Counter(completed=1, waiting=1)
    assert report.functions["media/also-completes"] == Counter(completed=1)
    assert report.functions["media/also-fails"] == Counter(failed=1)
    assert sum(counts.total() for counts in report.by_hour.values()) == 9


async def test_an_unheard_name_comes_with_the_nearest_name_that_is_heard(world: World) -> None:
    await world.post(
        {"name": "Media/Uploaded"}, {"name": "Media/Uploaded"}, {"name": "nothing-like-it"}
    )
    report = await world.audit()
    assert report.unheard == [
        UnheardName("Media/Uploaded", 2, "media/uploaded"),
        UnheardName("nothing-like-it", 1, None),
    ]


async def test_a_name_that_a_step_waits_for_is_a_signal_if_the_user_says_so(world: World) -> None:
    await world.post({"name": "media/approved"})
    assert found(await world.audit(state="one")) == {"unheard": 1}
    assert found(await world.audit(state="two", signals=["media/app*"])) == {"signal": 1}


async def test_every_event_of_a_batch_has_its_run(world: World) -> None:
    await world.post(*({"name": "media/batched", "id": str(i)} for i in range(5)))
    assert found(await world.audit()) == {"completed": 5}


async def test_copies_of_an_event_count_once_although_only_one_has_a_run(world: World) -> None:
    for _ in range(3):
        await world.post({"name": "media/uploaded", "id": "a"})
    report = await world.audit()
    assert found(report) == {"completed": 1}
    assert report.references == 3


async def test_without_a_run_a_young_event_waits_and_an_old_one_has_not_run(world: World) -> None:
    # The same function has seen the id under another name.
    await world.post({"name": "shop/one", "id": "a"})
    await world.post({"name": "shop/two", "id": "a"})
    assert found(await world.audit(state="one")) == {"completed": 1, "waiting": 1}
    world.clock = lambda: time.time() + 3600
    assert found(await world.audit(state="two")) == {"completed": 1, "not_run": 1}


async def test_an_accepted_event_that_the_server_lost_is_missing(
    world: World, tmp_path: Path
) -> None:
    (stored,) = await world.post({"name": "media/uploaded", "id": "a"})
    log = tmp_path / "relay.log"
    log.write_text(
        log_lines(
            ("media/uploaded", "a", stored),
            ("media/uploaded", "b", "01M8NY0AAMK38GQM6KRZ2K7000"),
        )
    )
    assert found(await world.audit(logs=[log])) == {"completed": 1, "missing": 1}


async def test_only_the_chosen_names_are_audited(world: World) -> None:
    await world.post({"name": "media/uploaded"}, {"name": "media/broken"}, {"name": "shop/paid"})
    one = await world.audit(names=["media/uploaded"], state="one")
    some = await world.audit(names=["media/*"], state="some")
    assert (list(one.by_name), sorted(some.by_name)) == (
        ["media/uploaded"],
        ["media/broken", "media/uploaded"],
    )


async def test_pages_of_the_servers_list_lead_to_every_event(world: World) -> None:
    await world.post(*({"name": "media/uploaded", "id": str(i)} for i in range(173)))
    report = await world.audit()
    assert found(report) == {"completed": 173}


async def test_large_events_are_listed_in_smaller_pages(world: World) -> None:
    large = "x" * 2_000_000
    for number in range(20):
        await world.post({"name": "media/uploaded", "id": str(number), "data": {"x": large}})
    assert found(await world.audit()) == {"completed": 20}


@pytest.mark.parametrize("seed", range(5))
async def test_it_agrees_with_the_servers_own_record_of_runs(world: World, seed: int) -> None:
    choice = random.Random(seed)
    names = ["media/uploaded", "media/broken", "media/batched", "shop/a", "media/none", "x"]
    events = [{"name": choice.choice(names), "id": f"e{i}"} for i in range(choice.randint(1, 150))]
    await world.post(*events)
    report = await world.audit()
    ran = {run.event_id for run in world.server.runs}
    failed = {run.event_id for run in world.server.runs if run.status == "Failed"}
    assert report.states["failed"] == len(failed)
    assert report.states["completed"] == len(ran - failed)
    heard = [
        event
        for event in events
        if any(f.listens_to(event["name"]) for f in world.server.functions)
    ]
    assert report.states["unheard"] == len(events) - len(heard)
    by_function = Counter(f"{run.app}/{run.function}" for run in world.server.runs)
    assert {name: counts.total() for name, counts in report.functions.items()} == by_function


async def test_names_without_end_are_counted_together(world: World) -> None:
    await world.post(*({"name": f"media/{number}"} for number in range(MAX_KEYS + 50)))
    report = await world.audit()
    assert len(report.by_name) == MAX_KEYS + 1
    assert report.by_name[OTHERS] == Counter(unheard=50)


async def test_functions_have_the_name_of_their_app(world: World) -> None:
    world.server.functions.append(Function(name="indexes", on="media/uploaded", app="other"))
    await world.post({"name": "media/uploaded"})
    report = await world.audit()
    assert set(report.functions) == {"media/completes", "other/indexes"}
