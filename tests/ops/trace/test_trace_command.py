"""`relay trace` as a person and a machine see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ops.doctor.conftest import run
from tests.ops.trace.conftest import SIGNING_KEY, delivered, retried


async def test_a_timeline_for_people_names_its_sources(
    settings: dict[str, str], publish: Callable[..., Any], log: Callable[..., Path]
) -> None:
    ulid = await publish(name="shop/paid", id="order-1")
    settings["RELAY_LOG_FILE"] = str(log(retried(), delivered(ulid)))
    result = await run("trace", "order-1", **settings)
    code, out, err = result.code, result.out, result.err
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
    result = await run("trace", "order-1", "--log", "-", "--json", stdin=stdin, **settings)
    code, out, err = result.code, result.out, result.err
    assert (code, err) == (0, "")
    assert [moment["source"] for moment in json.loads(out)["timeline"]] == ["log"] * 3


async def test_nothing_known_is_exit_code_1_and_the_gaps_are_told(
    settings: dict[str, str],
) -> None:
    result = await run("trace", "absent", "--snapshot", "/dev/null", **settings)
    code, out, err = result.code, result.out, result.err
    assert code == 2
    assert "not a snapshot" in err
    settings["RELAY_INNGEST_SIGNING_KEY"] = "abcd"
    result = await run("trace", "absent", **settings)
    code, out, err = result.code, result.out, result.err
    assert (code, out) == (1, "Nothing is known about absent.\n")
    assert err.startswith("relay: inngest: it wants another signing key")
    assert "not asked: the dead letters (--peek, --snapshot), the log (--log" in err


async def test_a_time_that_is_none_is_wrong_usage(settings: dict[str, str]) -> None:
    result = await run("trace", "x", "--since", "yesterday", **settings)
    code, err = result.code, result.err
    assert code == 2
    assert "--since" in err
