"""Producers' text in every field of a dead letter cannot control the terminal of an operator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE
from tests.dlq.conftest import QUICK, Ended, Relay
from tests.dlq.queues import LocalQueues
from tests.hostile import HOSTILE, IN_XML, assert_harmless, assert_shown

CODE = f"code{HOSTILE}"


def hostile_origin(**more: object) -> dict[str, Attribute]:
    """Our attribute as a producer forges it: every text of it is hostile."""
    fields = {
        **{name: f"{name}{HOSTILE}" for name in ("id", "source", "code", "reason")},
        "lost": [HOSTILE],
        "hops": 1,
        **more,
    }
    text = json.dumps({"version": 1, **fields}).replace("\x7f", "\\u007f")
    return {ATTRIBUTE: Attribute("String", text), "other": Attribute("String", IN_XML)}


@pytest.fixture
async def hostile(queues: LocalQueues) -> list[str]:
    """Dead letters with hostile names, ids, data, codes, reasons, sources and attributes."""
    named = {"name": f"n/{HOSTILE}", "id": f"i{HOSTILE}", "data": {HOSTILE: HOSTILE}}
    valid = {"name": f"n/{IN_XML}", "id": f"i{IN_XML}", "data": {IN_XML: [IN_XML]}}
    plain = {"name": "shop/order", "id": "own", "data": {"a": IN_XML}}
    ids = []
    for body in (
        json.dumps(named),
        json.dumps(valid),
        json.dumps(plain, ensure_ascii=False),
        json.dumps([valid, plain]),
        IN_XML,
        f'{{"name": "{IN_XML}',
    ):
        ids += await queues.send("dead", body, attributes=hostile_origin())
        ids += await queues.send("dead", body, attributes=hostile_origin(hops=9**20, id="x" * 99))
    ids += await queues.send("dead", json.dumps(named))
    return ids


def check(ended: Ended) -> None:
    assert_harmless(ended.out)
    assert_harmless(ended.err)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    "command",
    [
        ("stats",),
        ("list",),
        ("show", "own"),
        ("redrive",),
        ("redrive", "--yes"),
        ("redrive", "--native"),
        ("redrive", "--code", CODE),
        ("drop", "--confirm", "dead", "--name", "*"),
        ("drop", "--confirm", HOSTILE.replace("\0", ""), "--name", "*"),
        ("show", f"no{HOSTILE}".replace("\0", "")),
    ],
    ids=lambda words: " ".join(words[:2]).split("\x1b")[0],
)
async def test_a_command_shows_hostile_text_as_escapes(
    command: tuple[str, ...], relay: Relay, queues: LocalQueues
) -> None:
    ended = await relay("dlq", *command, *QUICK)
    check(ended)
    if command in [("stats",), ("list",), ("show", "own"), ("redrive",)]:
        assert_shown(ended.out)
        assert "[red]markup[/red]" in ended.out or "…" in ended.out


async def test_every_dead_letter_is_shown_and_its_body_keeps_its_lines(
    relay: Relay, hostile: list[str], queues: LocalQueues
) -> None:
    for message_id in hostile:
        ended = await relay("dlq", "show", message_id, *QUICK)
        assert ended.code == 0, ended.err
        check(ended)
    await queues.send("dead", 'not JSON,\n\tand on lines "\x7f"')
    [*_, last] = queues.stored("dead")
    shown = await relay("dlq", "show", last.message_id, *QUICK)
    assert shown.out.endswith('\nnot JSON,\n\tand on lines "\\x7f"\n')


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("command", [("stats",), ("list",), ("show", "own"), ("redrive",)])
async def test_json_output_is_valid_ascii_and_has_the_text_unchanged(
    command: tuple[str, ...], relay: Relay
) -> None:
    ended = await relay("dlq", *command, "--json", *QUICK)
    check(ended)
    assert ended.out.isascii()
    texts = ended.out.splitlines() if command == ("list",) else [ended.out]
    if command != ("show", "own"):
        # A code is cut at 100 characters.
        assert any(HOSTILE[:60] in repr_of(json.loads(text)) for text in texts)


def repr_of(value: object) -> str:
    """Every text in a JSON value, unescaped."""
    if isinstance(value, dict):
        return "".join(repr_of(part) for pair in value.items() for part in pair)
    return "".join(map(repr_of, value)) if isinstance(value, list) else str(value)


@pytest.mark.usefixtures("hostile")
async def test_a_snapshot_keeps_the_bytes_and_a_restore_shows_escapes(
    relay: Relay, queues: LocalQueues, tmp_path: Path
) -> None:
    before = sorted(queues.bodies("dead"))
    check(await relay("dlq", "pull", "now.jsonl", *QUICK))
    check(await relay("dlq", "drop", "--confirm", "dead", "--id", "*", *QUICK))
    check(await relay("dlq", "drop", "--confirm", "dead", "--name", "*", *QUICK))
    for words in ((), ("--yes",)):
        check(await relay("dlq", "restore", "now.jsonl", *words))
    assert sorted({*queues.bodies("dead"), *queues.bodies("main")}) == sorted({*before})
