"""The command: what it prints, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.ops.audit.conftest import World, log_lines
from tests.ops.doctor.conftest import run


async def test_it_prints_the_states_and_the_names_nobody_listens_to(
    world: World, settings: dict[str, str]
) -> None:
    await world.post({"name": "media/uploaded"}, {"name": "media/uplaoded"})
    result = await run("audit", **settings)
    assert result.code == 1
    assert re.search(r"^completed +1  every run completed$", result.out, re.MULTILINE)
    assert re.search(r"^media/uplaoded +1  media/uploaded$", result.out, re.MULTILINE)
    only = await run("audit", "--unheard", **settings)
    assert (only.code, len(only.out.splitlines())) == (1, 2)


async def test_it_lists_the_events_of_failed_runs(world: World, settings: dict[str, str]) -> None:
    await world.post({"name": "media/broken", "id": "b"}, {"name": "media/uploaded", "id": "a"})
    result = await run("audit", "--failed", **settings)
    assert result.code == 1
    assert re.search(r"media/broken +b +media/fails$", result.out, re.MULTILINE)
    document = json.loads((await run("audit", "--failed", "--json", **settings)).out)
    (failed,) = document["failed"]
    assert (failed["id"], failed["functions"]) == ("b", ["media/fails"])


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [((), 1), (("failed",), 1), (("unheard",), 0), (("none",), 0), (("missing", "completed"), 1)],
)
async def test_the_exit_code_follows_the_states_that_the_user_names(
    world: World, settings: dict[str, str], fail_on: tuple[str, ...], code: int
) -> None:
    await world.post({"name": "media/uploaded"}, {"name": "media/broken"})
    options = [word for state in fail_on for word in ("--fail-on", state)]
    assert (await run("audit", *options, **settings)).code == code


async def test_with_nothing_accepted_it_succeeds(settings: dict[str, str]) -> None:
    result = await run("audit", **settings)
    assert result.code == 0
    assert result.out.startswith("0 events accepted")


async def test_the_window_leaves_out_what_is_older_or_younger(
    world: World, settings: dict[str, str], tmp_path: Path
) -> None:
    now = time.time()
    references = await world.post(*({"name": "media/uploaded"} for _ in range(3)))
    log = tmp_path / "log"
    rows = [
        log_lines(("media/uploaded", str(number), reference), at=now - 3600 * number)
        for number, reference in enumerate(references, 1)
    ]
    log.write_text("".join(rows))
    words = ("--json", "--log", str(log), "--since", "150m", "--to", "90m")
    document = json.loads((await run("audit", *words, **settings)).out)
    assert (document["source"], document["events"]) == ("log", 1)


async def test_the_log_may_come_on_standard_input(world: World, settings: dict[str, str]) -> None:
    (reference,) = await world.post({"name": "media/uploaded", "id": "a"})
    lines = log_lines(("media/uploaded", "a", reference), ("other/destination", "b", "arn:x"))
    result = await run("audit", "--json", "--log", "-", stdin=lines, **settings)
    document = json.loads(result.out)
    assert (result.code, document["states"]["completed"], document["events"]) == (0, 1, 1)
    assert document["notes"] == [
        "1 delivered events have no reference of Inngest and are not audited"
    ]


async def test_a_log_that_cannot_be_read_makes_the_audit_incomplete(
    settings: dict[str, str], tmp_path: Path
) -> None:
    result = await run("audit", "--log", str(tmp_path / "absent"), **settings)
    assert result.code == 3
    assert "absent cannot be read: No such file" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "soon"), "--since: 'soon' is neither"),
        (("--from", "2026-05-04T12:00", "--to", "2026-05-04T10:00"), "--from is not before --to"),
        (("--since", "2h", "--from", "3h"), "--since and --from exclude"),
        (("--ledger",), "RELAY_LEDGER_TABLE"),
        (("--rerun",), "--rerun needs --failed"),
        (("--yes",), "need --failed --rerun"),
        (("--unheard", "--failed"), "exclude each other"),
        (("--fail-on", "everything"), "--fail-on"),
        (("--concurrency", "0"), "--concurrency"),
    ],
)
async def test_wrong_usage_is_refused(
    settings: dict[str, str], words: tuple[str, ...], said: str
) -> None:
    result = await run("audit", *words, **settings)
    assert result.code == 2
    assert said in " ".join(result.err.replace("│", "").split())


async def test_another_destination_cannot_be_audited(settings: dict[str, str]) -> None:
    settings |= {"RELAY_DESTINATION": "webhook", "RELAY_WEBHOOK_URL": "https://example.com/"}
    result = await run("audit", **settings)
    assert result.code == 2
    assert "only events of Inngest" in result.err


async def test_a_state_of_other_options_is_refused(
    settings: dict[str, str], tmp_path: Path
) -> None:
    state = ("--state", str(tmp_path / "state"))
    assert (await run("audit", *state, "--since", "2h", **settings)).code == 0
    result = await run("audit", *state, "--since", "3h", **settings)
    assert result.code == 2
    assert "other options (since)" in result.err


async def test_a_server_out_of_reach_says_how_to_resume(
    settings: dict[str, str], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    settings["RELAY_INNGEST_SIGNING_KEY"] = "abcd"
    result = await run("audit", "--state", str(state), **settings)
    assert result.code == 3
    assert "set RELAY_INNGEST_SIGNING_KEY" in result.err
    assert f"--state {state}" in result.err
    assert state.exists()


async def test_the_json_has_the_documented_fields(world: World, settings: dict[str, str]) -> None:
    await world.post({"name": "media/none"})
    document = json.loads((await run("audit", "--json", "--failed", **settings)).out)
    page = (Path(__file__).parents[3] / "docs" / "json.md").read_text()
    section = re.search(r"^## `audit`\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    cells = re.findall(r"^\| (`[^|]+) \|", section[1], re.MULTILINE)
    documented = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert set(document) - {"type"} == documented
