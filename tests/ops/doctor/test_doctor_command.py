"""`relay doctor` as a person and a machine see it."""

from __future__ import annotations

import json

from tests.ops.doctor.conftest import EVENT_KEY, SIGNING_KEY, World, run


async def test_a_table_says_what_is_so_why_it_matters_and_what_to_do(world: World) -> None:
    world.set("relay", VisibilityTimeout="30")
    ended = await run("doctor", **world.settings)
    out = ended.out
    assert (ended.code, ended.err) == (0, "")
    assert "warn" in out
    assert "→ set the queue's VisibilityTimeout above 870" in out
    assert '"Action": ["sqs:SendMessage"]' in out
    assert out.rstrip().splitlines()[-1].startswith("27 ok, 1 warn, 0 fail, ")
    assert EVENT_KEY not in out
    assert SIGNING_KEY not in out


async def test_a_failure_is_exit_code_1_and_json_has_all_of_it(world: World) -> None:
    world.set("relay-dead", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    ended = await run("doctor", "--json", "--pull", **world.settings)
    told = json.loads(ended.out)
    assert ended.code == 1
    assert told["healthy"] is False
    assert told["counts"]["fail"] == 1
    (failing,) = [finding for finding in told["findings"] if finding["state"] == "fail"]
    assert failing["check"] == "dlq.allow-policy"
    assert {"found", "why", "fix"} <= failing.keys()
