"""`relay pause` and `relay resume` on an SQS server on loopback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from relay.delivery.pause import LONGEST_VALUE, TAG, Pause, read_pause, tag_value
from relay.http.server import health_routes, serving
from relay.local.sqs.faults import Fault
from tests.cli.conftest import LocalSqs, Relay

EARLIER = Pause(by="ana@laptop", at=1_767_225_600.0, reason="deploying")


def pause_of(local_sqs: LocalSqs, queue: str = "plain") -> Pause | None:
    return read_pause(local_sqs.sqs.queues[queue].tags)


def audit_lines(log: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return [json.loads(one["message"]) for one in records if "audit" in one["message"]]


async def test_a_queue_is_paused_and_resumed_and_both_are_audited(
    process: Relay, local_sqs: LocalSqs, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    local_sqs.sqs.queues["plain"].tags["team"] = "orders"
    common = {"RELAY_QUEUE_URL": "plain", "RELAY_LOG_FILE": str(log)}
    paused = await process("pause", "--reason", "migration, INC-42", **common)
    found = pause_of(local_sqs)
    assert paused.code == 0
    assert found is not None
    assert found.reason == "migration, INC-42"
    assert found.by
    assert paused.out.startswith(f"plain is {found.sentence}")
    resumed = await process("resume", **common)
    assert resumed.code == 0
    assert "plain is resumed" in resumed.out
    assert local_sqs.sqs.queues["plain"].tags == {"team": "orders"}
    first, second = audit_lines(log)
    assert (first["audit"], first["queue"], first["by"]) == ("pause", "plain", found.by)
    assert (second["audit"], second["reason"]) == ("resume", "migration, INC-42")


async def test_without_a_log_file_the_audit_line_is_on_standard_error(
    process: Relay, local_sqs: LocalSqs
) -> None:
    result = await process("pause", "--queue", "ordered.fifo")
    assert result.code == 0
    assert json.loads(json.loads(result.err)["message"])["audit"] == "pause"
    assert pause_of(local_sqs, "ordered.fifo") is not None


async def test_a_second_pause_keeps_the_first_one_and_says_so(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    local_sqs.sqs.queues["plain"].tags[TAG] = tag_value(EARLIER)
    result = await relay("pause", "--queue", "plain", "--reason", "another", "--json")
    assert result.code == 0
    assert pause_of(local_sqs) == EARLIER
    assert json.loads(result.out) == {
        "queue": "plain",
        "paused": True,
        "changed": False,
        "pause": EARLIER.as_json(),
        "relays": [],
    }
    assert "audit" not in result.err


async def test_resuming_a_queue_that_is_not_paused_changes_nothing(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    result = await relay("resume", "--queue", "plain")
    assert (result.code, result.out) == (0, "plain is not paused\n")
    assert local_sqs.sqs.requests["UntagQueue"] == 0


async def test_a_queue_that_is_not_there_is_named(relay: Relay, local_sqs: LocalSqs) -> None:
    for command in ("pause", "resume"):
        result = await relay(command, "--queue", "absent")
        assert (result.code, result.out) == (1, "")
        assert "absent" in result.err


async def test_without_a_queue_the_setting_is_named(relay: Relay, local_sqs: LocalSqs) -> None:
    result = await relay("pause")
    assert result.code == 2
    assert "RELAY_QUEUE_URL" in result.err


@pytest.mark.parametrize("how", ["policy", "setting"])
async def test_a_dead_letter_queue_is_refused(relay: Relay, local_sqs: LocalSqs, how: str) -> None:
    local_sqs.sqs.account.create("dead", {}, {})
    arn = local_sqs.sqs.queues["dead"].arn
    settings = {"RELAY_DLQ_URL": arn}
    if how == "policy":
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 9})
        local_sqs.sqs.account.configure(local_sqs.sqs.queues["plain"], {"RedrivePolicy": policy})
        settings = {}
    result = await relay("pause", "--queue", "dead", **settings)
    assert result.code == 2
    assert "dead-letter queue" in result.err
    assert pause_of(local_sqs, "dead") is None


async def test_without_the_permission_to_list_sources_the_queue_is_paused_all_the_same(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    denied = Fault(action="ListDeadLetterSourceQueues", error="AccessDenied", status=403)
    local_sqs.sqs.faults.add(denied)
    assert (await relay("pause", "--queue", "plain")).code == 0
    assert pause_of(local_sqs) is not None


async def test_a_reason_that_no_tag_can_hold_is_refused_before_any_call(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    result = await relay("pause", "--queue", "plain", "--reason", "x" * LONGEST_VALUE)
    assert result.code == 2
    assert "too long" in result.err
    assert local_sqs.sqs.requests["TagQueue"] == 0


@pytest.mark.parametrize(("command", "action"), [("pause", "TagQueue"), ("resume", "UntagQueue")])
async def test_a_missing_permission_is_named(
    relay: Relay, local_sqs: LocalSqs, command: str, action: str
) -> None:
    if command == "resume":
        local_sqs.sqs.queues["plain"].tags[TAG] = tag_value(EARLIER)
    local_sqs.sqs.faults.add(Fault(action=action, error="AccessDenied", status=403))
    result = await relay(command, "--queue", "plain")
    assert result.code == 1
    assert f"sqs:{action}" in result.err


async def test_after_a_lost_answer_the_command_says_how_to_find_out(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    local_sqs.sqs.faults.add(Fault(action="TagQueue", drop=True))
    result = await relay("pause", "--queue", "plain", "--reason", "moving")
    assert result.code == 1
    assert "`relay pause` again" in result.err
    again = await relay("pause", "--queue", "plain")
    assert (again.code, "already paused" in again.out) == (0, True)


async def test_relays_that_have_noticed_are_listed_and_others_are_exit_code_3(
    relay: Relay, local_sqs: LocalSqs, unused_port: int
) -> None:
    def ready() -> tuple[bool, Mapping[str, Any]]:
        return True, {"circuit": "closed", "paused": pause_of(local_sqs) is not None}

    async with serving(Starlette(routes=health_routes(ready))) as port:
        one, other = (f"http://127.0.0.1:{number}" for number in (port, unused_port))
        result = await relay("pause", "--queue", "plain", "--relay", one)
        assert (result.code, f"{one}: paused" in result.out) == (0, True)
        result = await relay(
            "resume", "--queue", "plain", "--wait", "0", *("--relay", one, "--relay", f"{other}/")
        )
    assert result.code == 3
    assert f"{one}: resumed" in result.out
    assert f"{other} has not confirmed: connection refused" in result.err


async def test_an_address_with_a_user_is_refused(relay: Relay, local_sqs: LocalSqs) -> None:
    result = await relay("pause", "--queue", "plain", "--relay", "http://a:b@127.0.0.1")
    assert result.code == 2
    assert pause_of(local_sqs) is None
