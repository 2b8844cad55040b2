"""The commands in a terminal of 80 and of 120 columns, without colours, and in a pipe."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import shlex
import struct
import sys
import termios
from importlib import import_module
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.main import get_command

from relay.cli.dlq import _COMMANDS
from relay.cli.dlq import command as dlq
from tests.dlq import incident
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOURS = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|38|9[0-7])[;0-9]*m")


async def in_terminal(width: int, environ: dict[str, str], *words: str) -> str:
    """What `relay dlq` writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environ = {k: v for k, v in environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")} | {
        "TERM": "xterm-256color",
        **({"NO_COLOR": environ["NO_COLOR"]} if "NO_COLOR" in environ else {}),
    }
    arguments = ("-m", "relay", "dlq", *words)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    reading = asyncio.create_task(asyncio.to_thread(_read, ours))
    await process.wait()
    return await reading


def _read(descriptor: int) -> str:
    found = b""
    with open(descriptor, "rb", buffering=0) as terminal:
        while True:
            try:
                some = terminal.read(65_536)
            except OSError:  # the other end is closed
                break
            if not some:
                break
            found += some
    return found.decode().replace("\r\n", "\n")


@pytest.fixture
async def night(relay: Relay, queues: LocalQueues, environ: dict[str, str]) -> dict[str, str]:
    """The incident's snapshot in `night.jsonl`, and the environment of the commands."""
    await incident.make_incident(queues)
    environ["RELAY_QUEUE_URL"] = incident.MAIN
    await relay("dlq", "pull", "night.jsonl", *QUICK)
    return environ


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words",
    [
        ("stats", "night.jsonl"),
        ("list", "night.jsonl"),
        ("redrive", "--snapshot", "night.jsonl"),
        ("redrive", "--help"),
    ],
    ids=" ".join,
)
async def test_every_line_fits(night: dict[str, str], words: tuple[str, ...], width: int) -> None:
    output = await in_terminal(width, night, *words)
    lines = ESCAPES.sub("", output).splitlines()
    assert len(lines) > 10
    assert [line for line in lines if cell_len(line.rstrip()) > width] == []


async def test_codes_and_ids_are_whole_in_80_columns(night: dict[str, str]) -> None:
    listed = ESCAPES.sub("", await in_terminal(80, night, "list", "night.jsonl"))
    assert "order-039" in listed
    for kind in incident.KINDS:
        assert kind.code in listed
    planned = ESCAPES.sub("", await in_terminal(80, night, "redrive", "--snapshot", "night.jsonl"))
    for kind in incident.KINDS:
        assert re.search(rf"{re.escape(kind.name)} +{kind.code}", planned), kind


async def test_colours_follow_no_color(night: dict[str, str]) -> None:
    words = ("stats", "night.jsonl")
    assert COLOURS.search(await in_terminal(80, night, *words))
    plain = await in_terminal(80, night | {"NO_COLOR": "1"}, *words)
    assert not COLOURS.search(plain)
    assert "shop/order.paid" in plain


async def test_on_a_terminal_the_audit_line_is_only_in_the_journal(night: dict[str, str]) -> None:
    words = ("redrive", "--snapshot", "night.jsonl", "--yes", "--journal", "run", *QUICK)
    output = ESCAPES.sub("", await in_terminal(80, night, *words))
    assert "230 redriven, 5 duplicates deleted" in output
    assert "90 skipped, would_fail: " in output
    assert '"audit"' not in output
    journal = await asyncio.to_thread(Path("run/journal.jsonl").read_text)
    assert '"audit":"dlq redrive"' in journal or '"audit": "dlq redrive"' in journal


@pytest.mark.usefixtures("night")
async def test_a_pipe_gets_no_colours_and_nothing_is_cut(relay: Relay) -> None:
    listed = await relay("dlq", "list", "night.jsonl")
    assert "\x1b" not in listed.out
    assert "…" not in listed.out
    assert all(kind.reason[:40] in listed.out for kind in incident.KINDS)


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("pull", "again.jsonl"), "pulled"),
        (("stats", "night.jsonl"), "statistics"),
        (("list", "night.jsonl"), "dead_letter"),
        (("show", "order-003", "night.jsonl"), "dead_letter"),
        (("report", "night.jsonl", "--html", "night.html"), "report"),
        (("redrive", "--snapshot", "night.jsonl"), "plan"),
        (("redrive", "--snapshot", "night.jsonl", "--limit", "1", "--yes"), "result"),
        (("drop", "--code", "not_json", "--confirm", incident.DEAD), "result"),
        (("restore", "night.jsonl"), "restore_plan"),
        (("redrive", "--native", "--include-failing", "--allow-new-ids"), "native_plan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
async def test_json_is_one_object_with_its_type_and_its_documented_fields(
    relay: Relay, words: tuple[str, ...], kind: str
) -> None:
    quick = () if words[0] == "restore" else QUICK
    ended = await relay("dlq", *words, "--json", *quick)
    text = ended.out.splitlines()[0] if words[0] == "list" else ended.out
    found = json.loads(text)
    assert found["type"] == kind, ended
    documented = documented_fields(kind)
    assert set(found) <= documented, set(found) - documented


def documented_fields(kind: str) -> set[str]:
    """The fields that docs/json.md has for objects of this type."""
    text = (Path(__file__).parents[2] / "docs/json.md").read_text()
    [section] = [part for part in text.split("\n## ") if part.startswith(f"`{kind}`")]
    return {
        "type",
        *re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE))),
    }


@pytest.mark.usefixtures("night")
async def test_list_has_events_and_names_in_json_where_the_text_has_them(relay: Relay) -> None:
    words = ("dlq", "list", "night.jsonl", "--code", "ts_in_seconds", "--json")
    first = json.loads((await relay(*words)).out.splitlines()[0])
    assert (first["name"], first["id"]) == ("shop/order.paid", "order-000")
    assert first["events"] == [{"id": "order-000", "name": "shop/order.paid", "rejected": True}]


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_the_help_of_each_command_has_examples_that_parse(name: str) -> None:
    command = vars(get_command(dlq))["commands"][name]
    examples = import_module(_COMMANDS[name].__name__).EXAMPLES
    assert len(examples) >= 2
    for example in examples:
        assert example in (command.epilog or "")
        _, _, used, *words = shlex.split(example)
        assert used == name
        assert command.make_context(name, words)


@pytest.mark.usefixtures("night")
async def test_stats_count_what_the_filters_match(relay: Relay) -> None:
    words = ("dlq", "stats", "night.jsonl", "--code", "fails_alone")
    ended = await relay(*words)
    assert ended.out.startswith("145 messages with 145 events in shop-events-dlq\n")
    assert "the filters exclude 180 others" in ended.out
    found = json.loads((await relay(*words, "--json")).out)
    assert (found["count"], found["filtered"]) == (145, 180)
