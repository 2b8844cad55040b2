"""The output of `relay trace`: a timeline, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ops.doctor.conftest import run
from tests.ops.trace.conftest import SIGNING_KEY, delivered, retried


async def test_the_timeline_names_the_source_of_each_entry(
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


async def test_log_lines_are_read_from_standard_input(
    settings: dict[str, str],
) -> None:
    stdin = retried()
    result = await run("trace", "order-1", "--log", "-", "--json", stdin=stdin, **settings)
    code, out, err = result.code, result.out, result.err
    assert (code, err) == (0, "")
    assert [entry["source"] for entry in json.loads(out)["timeline"]] == ["log"] * 3


async def test_finding_nothing_is_exit_code_1_with_the_gaps_and_unsearched_sources(
    settings: dict[str, str],
) -> None:
    result = await run("trace", "absent", "--snapshot", "/dev/null", **settings)
    code, out, err = result.code, result.out, result.err
    assert code == 2
    assert "not a snapshot" in err
    settings["RELAY_INNGEST_SIGNING_KEY"] = "abcd"
    result = await run("trace", "absent", **settings)
    code, out, err = result.code, result.out, result.err
    assert (code, out) == (1, "No record of absent was found.\n")
    assert err.startswith("relay: inngest: the signing key is missing or wrong")
    assert "not searched: the dead letters (--scan-dlq, --snapshot), the log (--log" in err


async def test_an_invalid_time_is_wrong_usage(settings: dict[str, str]) -> None:
    result = await run("trace", "x", "--since", "yesterday", **settings)
    code, err = result.code, result.err
    assert code == 2
    assert "--since" in err
