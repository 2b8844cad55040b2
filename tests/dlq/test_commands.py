"""`relay dlq redrive` as an operator types it: output, plan, canary, direct and native."""

import json

import pytest

from relay.local.inngest import InngestServer
from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, YES, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute, send_with_own_ids


async def test_a_redrive_ends_with_a_json_line_and_an_audit_line(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 3)
    ended = await relay("dlq", "redrive", *YES, "--journal", "run", "--name", "shop/*")
    end = json.loads(ended.out)
    assert ended.code == 0
    assert (end["done"], end["deleted"], end["journal"]) == (3, 3, "run")
    [audit] = [line for line in ended.err.splitlines() if "dlq redrive" in line]
    line = json.loads(json.loads(audit)["message"])
    assert line["names"] == ["shop/*"]
    assert (line["done"], line["journal"].endswith("run"), "@" in line["by"]) == (3, True, True)


async def test_other_options_do_not_resume_a_journal(relay: Relay, queues: LocalQueues) -> None:
    await send_with_own_ids(queues, 1)
    await relay("dlq", "redrive", *YES, "--journal", "run")
    ended = await relay("dlq", "redrive", *YES, "--journal", "run", "--rerun")
    assert (ended.code, "other options (rerun)" in ended.err) == (2, True)


async def test_skipped_dead_letters_are_reported_and_the_exit_code_is_partial(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 2)
    await queues.send("dead", event(), attributes=origin_attribute("z", hops=9))
    ended = await relay("dlq", "redrive", *YES)
    assert ended.code == 3
    assert "1 skipped, max_hops" in ended.err


async def test_a_plan_says_what_would_happen_to_each_group(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 2)
    await queues.send("dead", "{", attributes=origin_attribute("b", code="not_json"))
    await queues.send("main", event(5))
    await queues.move_by_sqs()
    plan = json.loads((await relay("dlq", "redrive", "--json", *QUICK)).out)
    groups = {
        (g["name"], g["code"]): (g["selected"], g["targets"], g["predictions"], g["skipped"])
        for g in plan["groups"]
    }
    assert groups == {
        ("shop/order", "fails_alone"): (2, {"main": 2}, {"runs": 2}, {}),
        ("(no event)", "not_json"): (0, {}, {}, {"would_fail": 1}),
        ("shop/order", "moved_by_sqs"): (1, {"main": 1}, {"ambiguous": 1}, {}),
    }
    assert queues.visible("dead") == 4


async def test_only_messages_of_the_snapshot_are_redriven(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 2)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    await queues.send("dead", event(9), attributes=origin_attribute("later"))
    ended = await relay("dlq", "redrive", "--snapshot", "seen.jsonl", *YES)
    assert ended.code == 0
    assert len(queues.bodies("main")) == 2
    assert queues.bodies("dead") == [event(9)]


@pytest.fixture
async def inngest(environ: dict[str, str]) -> InngestServer:
    server = InngestServer(0)
    environ["RELAY_INNGEST_EVENT_KEY"] = "local"
    environ["RELAY_CONFIRM"] = "off"
    return server


async def test_a_direct_redrive_delivers_through_the_relays_own_handler(
    relay: Relay, queues: LocalQueues, inngest: InngestServer
) -> None:
    await send_with_own_ids(queues, 12)
    async with inngest:
        ended = await relay("dlq", "redrive", "--direct", *YES, RELAY_INNGEST_URL=inngest.url)
        assert ended.code == 0, ended
        assert {event.id for event in inngest.events} == {f"own-{i}" for i in range(12)}
    assert queues.stored("dead") == ()
    assert queues.bodies("main") == []


async def test_the_rest_of_a_partly_accepted_array_stays_in_the_queue(
    relay: Relay, queues: LocalQueues, inngest: InngestServer
) -> None:
    body = '[{"name":"good"},{"name":""},{"name":"fine"}]'
    await queues.send("dead", body, attributes=origin_attribute("array"))
    async with inngest:
        words = ("dlq", "redrive", "--direct", "--include-failing", *YES)
        ended = await relay(*words, RELAY_INNGEST_URL=inngest.url)
        assert {event.id for event in inngest.events} == {"array.0", "array.2"}
    assert ended.code == 3
    [origin] = queues.origins("dead")
    assert (origin["pending"], origin["code"], origin["hops"]) == ([1], "empty_name", 1)
    assert queues.bodies("dead") == [body]


async def test_after_a_delivered_canary_the_rest_is_sent(
    relay: Relay, queues: LocalQueues, inngest: InngestServer
) -> None:
    await send_with_own_ids(queues, 6)
    async with inngest:
        ended = await relay("dlq", "redrive", "--canary", "2", *YES, RELAY_INNGEST_URL=inngest.url)
        assert ended.code == 0, ended
        assert len(inngest.events) == 2
    assert len(queues.bodies("main")) == 4
    assert queues.stored("dead") == ()


async def test_after_a_failed_canary_the_rest_is_not_sent(
    relay: Relay, queues: LocalQueues, inngest: InngestServer
) -> None:
    await send_with_own_ids(queues, 6)
    await queues.send("dead", '{"name":""}', attributes=origin_attribute("bad", code="empty_name"))
    words = ("dlq", "redrive", "--canary", "1", "--include-failing")
    async with inngest:
        ended = await relay(*words, *YES, RELAY_INNGEST_URL=inngest.url)
        assert len(inngest.events) == 1, "one of each group was sent"
    assert ended.code == 4
    assert "1 of 2 canary messages were not delivered" in ended.err
    assert (len(queues.bodies("main")), queues.visible("dead")) == (0, 6)


async def test_a_canary_without_an_outcome_names_the_problem_with_the_destination(
    relay: Relay, queues: LocalQueues, inngest: InngestServer
) -> None:
    await send_with_own_ids(queues, 1)
    words = ("dlq", "redrive", "--canary", "1", "--canary-deadline", "1", *YES)
    ended = await relay(*words, RELAY_INNGEST_URL="http://127.0.0.1:1")
    assert ended.code == 4
    assert "no outcome within 1 s because of a problem with the destination: " in ended.err
    assert queues.visible("dead") == 1


@pytest.mark.parametrize("how", [("--canary", "1"), ("--direct",)])
async def test_what_this_machine_cannot_deliver_is_refused_at_once(
    relay: Relay, queues: LocalQueues, how: tuple[str, ...]
) -> None:
    await send_with_own_ids(queues, 1)
    ended = await relay("dlq", "redrive", *how, *YES)
    assert (ended.code, "RELAY_INNGEST_EVENT_KEY is not set" in ended.err) == (2, True)


async def test_a_native_dry_run_says_what_it_loses(relay: Relay, queues: LocalQueues) -> None:
    await send_with_own_ids(queues, 5)
    dry = await relay("dlq", "redrive", "--native", *QUICK)
    assert (dry.code, "would move everything in dead to main" in dry.err) == (0, True)
    assert queues.sqs.requests["StartMessageMoveTask"] == 0


async def test_native_is_refused_for_messages_whose_ids_would_change(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 2)
    [bare] = await queues.send("main", event(9))
    await queues.move_by_sqs()
    ended = await relay("dlq", "redrive", "--native", *YES)
    assert ended.code == 4
    assert f"such as {bare}" in ended.err
    assert queues.sqs.requests["StartMessageMoveTask"] == 0


async def test_a_limit_includes_the_canary(
    relay: Relay, queues: LocalQueues, environ: dict[str, str]
) -> None:
    await send_with_own_ids(queues, 20)
    environ |= {"RELAY_INNGEST_EVENT_KEY": "local", "RELAY_CONFIRM": "off"}
    async with InngestServer(0) as inngest:
        environ["RELAY_INNGEST_URL"] = inngest.url
        words = ("--yes", "--limit", "10", "--canary", "2", *QUICK)
        ended = await relay("dlq", "redrive", *words)
        assert (ended.code, len(inngest.events)) == (0, 2), ended
    assert (len(queues.bodies("main")), queues.visible("dead")) == (8, 10)


async def test_a_limit_includes_what_the_journal_has(relay: Relay, queues: LocalQueues) -> None:
    await send_with_own_ids(queues, 20)
    words = ("redrive", "--yes", "--limit", "10", "--journal", "run", *QUICK)
    queues.sqs.faults.add(Fault(action="DeleteMessageBatch", error="AccessDenied", times=9))
    assert (await relay("dlq", *words)).code == 1
    queues.sqs.faults.clear()
    again = await relay("dlq", *words)
    assert json.loads(again.out)["deleted"] == 10, again
    assert (len(queues.bodies("main")), queues.visible("dead")) == (10, 10)


async def test_what_would_be_rejected_again_is_left_and_counted(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 3)
    await queues.send("dead", "{", attributes=origin_attribute("b", code="not_json"))
    mixed = '[{"name":"good"},{"name":""}]'
    await queues.send("dead", mixed, attributes=origin_attribute("c", code="empty_name"))
    ended = await relay("dlq", "redrive", *YES)
    assert ended.code == 3
    end = json.loads(ended.out)
    assert (end["received"], end["done"], end["skipped"]) == (5, 3, {"would_fail": 2})
    assert "2 skipped, would_fail: " in ended.err
    assert "--include-failing" in ended.err
    assert queues.bodies("dead") == ["{", mixed]
    again = await relay("dlq", "redrive", "--include-failing", *YES)
    assert (again.code, json.loads(again.out)["done"], queues.bodies("dead")) == (0, 2, [])


async def test_an_edit_that_repairs_what_would_fail_is_sent(
    relay: Relay, queues: LocalQueues
) -> None:
    broken = '{"name":"shop/order","id":"a","data":{},"ts":1777852800}'
    await queues.send("dead", broken, attributes=origin_attribute("a", code="ts_in_seconds"))
    edit = "{name: name, id: id, data: data}"
    ended = await relay("dlq", "redrive", "--edit", edit, *YES)
    assert (ended.code, len(queues.bodies("main"))) == (0, 1)


async def test_the_counts_include_the_canary_and_add_up(
    relay: Relay, queues: LocalQueues, inngest: InngestServer
) -> None:
    await send_with_own_ids(queues, 6)
    await queues.send("dead", event(5, id="own-5"), attributes=origin_attribute("id-5"))
    await queues.send("dead", event(9), attributes=origin_attribute("z", code="other"))
    words = ("dlq", "redrive", "--canary", "2", "--code", "fails_alone", "--json")
    queues.clock.advance(10.0)
    async with inngest:
        planned = json.loads((await relay(*words, *QUICK)).out)
        ended = await relay(*words, *YES, RELAY_INNGEST_URL=inngest.url)
    assert ended.code == 0, ended
    assert (planned["examined"], planned["selected"], planned["duplicates"]) == (8, 6, 1)
    assert planned["skipped"] == {"filtered": 1}
    end = json.loads(ended.out)
    assert (end["received"], end["done"], end["duplicates"]) == (8, 6, 1)
    assert (end["deleted"], end["skipped"]) == (7, {"filtered": 1})
    assert end["received"] == end["done"] + end["duplicates"] + sum(end["skipped"].values())


async def test_after_a_failed_canary_only_what_the_filters_exclude_counts_as_filtered(
    relay: Relay, queues: LocalQueues, inngest: InngestServer
) -> None:
    await send_with_own_ids(queues, 4)
    await queues.send("dead", event(9), attributes=origin_attribute("z", code="other"))
    words = ("dlq", "redrive", "--canary", "1", "--canary-deadline", "1", "--code", "fails_alone")
    ended = await relay(*words, *YES, RELAY_INNGEST_URL="http://127.0.0.1:1")
    assert ended.code == 4
    end = json.loads(ended.out)
    assert end["skipped"] == {"filtered": 1, "not_a_canary": 3, "timed_out": 1}
