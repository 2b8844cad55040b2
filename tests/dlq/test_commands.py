"""The commands that take letters away, as an operator types them."""

import json
from pathlib import Path

import pytest

from relay.local.inngest import InngestServer
from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted

YES = ("--yes", *QUICK)


async def letters(place: Place, count: int) -> None:
    for i in range(count):
        await place.send("dead", event(i, id=f"own-{i}"), attributes=noted(f"id-{i}"))


async def test_a_redrive_ends_with_a_line_for_machines_and_an_audit_line(
    relay: Relay, place: Place
) -> None:
    await letters(place, 3)
    ended = await relay("dlq", "redrive", *YES, "--journal", "run", "--name", "shop/*")
    end = json.loads(ended.out)
    assert ended.code == 0
    assert (end["brought"], end["deleted"], end["journal"]) == (3, 3, "run")
    [audit] = [line for line in ended.err.splitlines() if "dlq redrive" in line]
    told = json.loads(json.loads(audit)["message"])
    assert told["names"] == ["shop/*"]
    assert (told["brought"], told["journal"].endswith("run"), "@" in told["by"]) == (3, True, True)


async def test_another_wish_does_not_take_up_a_journal(relay: Relay, place: Place) -> None:
    await letters(place, 1)
    await relay("dlq", "redrive", *YES, "--journal", "run")
    ended = await relay("dlq", "redrive", *YES, "--journal", "run", "--rerun")
    assert (ended.code, "other options (rerun)" in ended.err) == (2, True)


async def test_what_stays_is_partial_and_told(relay: Relay, place: Place) -> None:
    await letters(place, 2)
    await place.send("dead", event(), attributes=noted("z", hops=9))
    ended = await relay("dlq", "redrive", *YES)
    assert ended.code == 3
    assert "1 stay, max_hops" in ended.err


async def test_a_plan_says_what_would_happen_to_each_group(relay: Relay, place: Place) -> None:
    await letters(place, 2)
    await place.send("dead", "{", attributes=noted("b", code="not_json"))
    await place.send("main", event(5))
    await place.bury()
    plan = json.loads((await relay("dlq", "redrive", "--json", *QUICK)).out)["plan"]
    groups = {(g["name"], g["code"]): (g["goes"], g["to"], g["fates"]) for g in plan["groups"]}
    assert groups == {
        ("shop/order", "fails_alone"): (2, {"main": 2}, {"runs": 2}),
        ("(no event)", "not_json"): (1, {"main": 1}, {"rejected": 1}),
        ("shop/order", "moved_by_sqs"): (1, {"main": 1}, {"ambiguous": 1}),
    }
    assert place.visible("dead") == 4


async def test_only_what_is_in_a_snapshot_goes(relay: Relay, place: Place) -> None:
    await letters(place, 2)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    await place.send("dead", event(9), attributes=noted("later"))
    ended = await relay("dlq", "redrive", "--snapshot", "seen.jsonl", *YES)
    assert ended.code == 0
    assert len(place.bodies("main")) == 2
    assert place.bodies("dead") == [event(9)]


@pytest.fixture
async def inngest(environ: dict[str, str]) -> InngestServer:
    server = InngestServer(0)
    environ["RELAY_INNGEST_EVENT_KEY"] = "local"
    environ["RELAY_CONFIRM"] = "off"
    return server


async def test_a_straight_redrive_delivers_by_the_relays_own_handler(
    relay: Relay, place: Place, inngest: InngestServer
) -> None:
    await letters(place, 12)
    async with inngest:
        ended = await relay("dlq", "redrive", "--direct", *YES, RELAY_INNGEST_URL=inngest.url)
        assert ended.code == 0, ended
        assert {event.id for event in inngest.events} == {f"own-{i}" for i in range(12)}
    assert place.stored("dead") == ()
    assert place.bodies("main") == []


async def test_of_an_array_that_is_accepted_in_part_the_rest_stays(
    relay: Relay, place: Place, inngest: InngestServer
) -> None:
    body = '[{"name":"good"},{"name":""},{"name":"fine"}]'
    await place.send("dead", body, attributes=noted("array"))
    async with inngest:
        ended = await relay("dlq", "redrive", "--direct", *YES, RELAY_INNGEST_URL=inngest.url)
        assert {event.id for event in inngest.events} == {"array.0", "array.2"}
    assert ended.code == 3
    [origin] = place.origins("dead")
    assert (origin["pending"], origin["code"], origin["hops"]) == ([1], "empty_name", 1)
    assert place.bodies("dead") == [body]


async def test_a_canary_that_is_delivered_lets_the_rest_go(
    relay: Relay, place: Place, inngest: InngestServer
) -> None:
    await letters(place, 6)
    async with inngest:
        ended = await relay("dlq", "redrive", "--canary", "2", *YES, RELAY_INNGEST_URL=inngest.url)
        assert ended.code == 0, ended
        assert len(inngest.events) == 2
    assert len(place.bodies("main")) == 4
    assert place.stored("dead") == ()


async def test_a_canary_that_is_not_delivered_keeps_the_rest_where_it_is(
    relay: Relay, place: Place, inngest: InngestServer
) -> None:
    await letters(place, 6)
    await place.send("dead", '{"name":""}', attributes=noted("bad", code="empty_name"))
    async with inngest:
        ended = await relay("dlq", "redrive", "--canary", "1", *YES, RELAY_INNGEST_URL=inngest.url)
        assert len(inngest.events) == 1, "one of each group went"
    assert ended.code == 4
    assert "1 of 2 canaries were not delivered" in ended.err
    assert (len(place.bodies("main")), place.visible("dead")) == (0, 6)


async def test_a_canary_without_an_outcome_says_what_is_wrong_with_the_destination(
    relay: Relay, place: Place, inngest: InngestServer
) -> None:
    await letters(place, 1)
    words = ("dlq", "redrive", "--canary", "1", "--canary-deadline", "1", *YES)
    ended = await relay(*words, RELAY_INNGEST_URL="http://127.0.0.1:1")
    assert ended.code == 4
    assert "no outcome within 1 s, for the destination is in trouble: " in ended.err
    assert place.visible("dead") == 1


@pytest.mark.parametrize("how", [("--canary", "1"), ("--direct",)])
async def test_what_this_machine_cannot_deliver_is_refused_at_once(
    relay: Relay, place: Place, how: tuple[str, ...]
) -> None:
    await letters(place, 1)
    ended = await relay("dlq", "redrive", *how, *YES)
    assert (ended.code, "RELAY_INNGEST_EVENT_KEY is not set" in ended.err) == (2, True)


async def test_a_native_dry_run_says_what_it_loses(relay: Relay, place: Place) -> None:
    await letters(place, 5)
    dry = await relay("dlq", "redrive", "--native", *QUICK)
    assert (dry.code, "would move everything in dead to main" in dry.err) == (0, True)
    assert place.sqs.requests["StartMessageMoveTask"] == 0


async def test_sqs_is_not_let_loose_on_messages_whose_ids_would_change(
    relay: Relay, place: Place
) -> None:
    await letters(place, 2)
    [bare] = await place.send("main", event(9))
    await place.bury()
    ended = await relay("dlq", "redrive", "--native", *YES)
    assert ended.code == 4
    assert f"such as {bare}" in ended.err
    assert place.sqs.requests["StartMessageMoveTask"] == 0


async def test_a_drop_needs_the_queues_name_and_leaves_a_backup_that_restores(
    relay: Relay, place: Place
) -> None:
    await letters(place, 4)
    await place.send("dead", event(9), attributes=noted("keep", code="expiring"))
    wrong = await relay("dlq", "drop", "--code", "fails_alone", *QUICK, stdin="main\n")
    assert (wrong.code, place.visible("dead")) == (2, 5)
    words = ("--code", "fails_alone", *QUICK, "--journal", "run")
    ended = await relay("dlq", "drop", *words, stdin="dead\n")
    assert ended.code == 0, ended
    assert place.bodies("dead") == [event(9)]
    dry = await relay("dlq", "restore", "run/backup.jsonl")
    assert (dry.code, "4 of 4 messages would be put into dead, which holds 1" in dry.out) == (
        0,
        True,
    )
    back = await relay("dlq", "restore", "run/backup.jsonl", "--yes", "--journal", "back")
    assert back.code == 0, back
    assert len(place.bodies("dead")) == 5
    again = await relay("dlq", "restore", "run/backup.jsonl", "--yes", "--journal", "back")
    assert (again.code, len(place.bodies("dead"))) == (0, 5)


async def test_a_restore_keeps_the_id_of_what_sqs_had_moved(relay: Relay, place: Place) -> None:
    [message_id] = await place.send("main", event())
    await place.bury()
    await relay("dlq", "pull", "now.jsonl", *QUICK)
    place.sqs.queues["dead"].clear()
    assert (await relay("dlq", "restore", "now.jsonl", "--yes")).code == 0
    assert (await relay("dlq", "redrive", *YES)).code == 0
    [origin] = place.origins("main")
    assert (origin["id"], origin["source"], origin["hops"]) == (message_id, "main", 1)


async def test_a_drop_is_deleted_only_after_its_backup(
    relay: Relay, place: Place, tmp_path: Path
) -> None:
    await letters(place, 3)
    place.sqs.faults.add(Fault(action="DeleteMessageBatch", error="AccessDenied"))
    words = ("--name", "*", *QUICK, "--confirm", "dead", "--journal", "run")
    assert (await relay("dlq", "drop", *words)).code == 1
    assert (tmp_path / "run" / "backup.jsonl").read_bytes().count(b"own-") == 3
    assert place.visible("dead") == 3
