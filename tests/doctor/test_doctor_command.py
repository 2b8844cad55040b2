"""`relay doctor` as a person and a machine see it."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from tests.doctor.conftest import EVENT_KEY, SIGNING_KEY, World


async def run(world: World, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "doctor", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **world.settings, "PYTHONWARNINGS": "error"},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_table_says_what_is_so_why_it_matters_and_what_to_do(world: World) -> None:
    world.set("relay", VisibilityTimeout="30")
    code, out, err = await run(world)
    assert (code, err) == (0, "")
    assert "warn" in out
    assert "→ set the queue's VisibilityTimeout above 870" in out
    assert '"Action": ["sqs:SendMessage"]' in out
    assert out.rstrip().splitlines()[-1].startswith("27 ok, 1 warn, 0 fail, ")
    assert EVENT_KEY not in out
    assert SIGNING_KEY not in out


async def test_a_failure_is_exit_code_1_and_json_has_all_of_it(world: World) -> None:
    world.set("relay-dead", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    code, out, _ = await run(world, "--json", "--pull")
    told = json.loads(out)
    assert code == 1
    assert told["healthy"] is False
    assert told["counts"]["fail"] == 1
    (failing,) = [finding for finding in told["findings"] if finding["state"] == "fail"]
    assert failing["check"] == "dlq.allow-policy"
    assert {"found", "why", "fix"} <= failing.keys()
