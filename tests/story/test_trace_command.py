"""`relay trace` as a person and a machine see it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.story.conftest import SIGNING_KEY, delivered, retried


async def run(
    settings: dict[str, str], *arguments: str, stdin: str = ""
) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "trace", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **settings, "PYTHONWARNINGS": "error"},
    )
    out, err = await process.communicate(stdin.encode())
    return process.returncode, out.decode(), err.decode()


async def test_a_timeline_for_people_names_its_sources(
    settings: dict[str, str], publish: Callable[..., Any], log: Callable[..., Path]
) -> None:
    ulid = await publish(name="shop/paid", id="order-1")
    settings["RELAY_LOG_FILE"] = str(log(retried(), delivered(ulid)))
    code, out, err = await run(settings, "order-1")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "event    shop/paid order-1"
    assert lines[2].endswith("+0.000 s  log      sent to events")
    assert lines[-1].endswith("inngest  send-receipt ended: completed")
    assert SIGNING_KEY not in out


async def test_lines_come_from_standard_input_too_and_json_goes_out(
    settings: dict[str, str],
) -> None:
    stdin = retried()
    code, out, err = await run(settings, "order-1", "--log", "-", "--json", stdin=stdin)
    assert (code, err) == (0, "")
    assert [moment["source"] for moment in json.loads(out)["timeline"]] == ["log"] * 3


async def test_nothing_known_is_exit_code_1_and_the_gaps_are_told(
    settings: dict[str, str],
) -> None:
    code, out, err = await run(settings, "absent", "--snapshot", "/dev/null")
    assert code == 2
    assert "no snapshot" in err
    settings["RELAY_INNGEST_SIGNING_KEY"] = "abcd"
    code, out, err = await run(settings, "absent")
    assert (code, out) == (1, "Nothing is known about absent.\n")
    assert err.startswith("relay: inngest: it wants another signing key")


async def test_a_time_that_is_none_is_wrong_usage(settings: dict[str, str]) -> None:
    code, _, err = await run(settings, "x", "--since", "yesterday")
    assert code == 2
    assert "--since" in err
