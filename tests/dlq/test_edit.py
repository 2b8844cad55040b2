"""Edits: what an operator may change, and what is refused before anything is sent."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.edit import load_edit, modify
from relay.dlq.selection import Skipped
from relay.envelope import Rules
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin


def dead_letter(body: str = '{"name":"shop/order"}', origin: Origin | None = None) -> DeadLetter:
    attributes = {} if origin is None else {ATTRIBUTE: Attribute("String", origin.pack())}
    message = Message(
        body=body.encode(), message_id="m-1", queue="dead", sent_at=0.0, attributes=attributes
    )
    return read_dead_letter(message, Rules())


def edited(found: DeadLetter, edit: Any, *, rerun: bool = False) -> DeadLetter | Skipped:
    return modify(found, Rules(), edit=edit, rerun=rerun)


def test_a_jmespath_edit_changes_the_body_and_no_id() -> None:
    path = "{name: 'shop/mended', data: data}"
    changed = edited(dead_letter('{"name":"shop/order","data":{"a":1}}'), load_edit(path))
    assert isinstance(changed, DeadLetter)
    assert json.loads(changed.message.body) == {"name": "shop/mended", "data": {"a": 1}}
    assert [event.id for event in changed.events] == ["m-1"]


def test_an_edit_of_an_array_changes_only_pending_events_and_keeps_their_positions() -> None:
    body = '[{"name":"a" },{"name":"b"},{"name":"c"}]'
    found = dead_letter(body, Origin(id="x", pending=(1,)))
    changed = edited(found, lambda value: {**value, "name": value["name"].upper()})
    assert isinstance(changed, DeadLetter)
    assert changed.message.body == b'[{"name":"a" },{"name":"B"},{"name":"c"}]'
    assert [(event.index, event.id) for event in changed.events] == [(1, "x.1")]


def test_an_edit_can_fix_a_body_that_is_not_json() -> None:
    changed = edited(dead_letter('{"name":"a",}'), lambda text: text.replace(",}", "}"))
    assert isinstance(changed, DeadLetter)
    assert changed.name == "a"


def test_an_edited_encoded_body_is_a_plain_body_again() -> None:
    found = dead_letter("eyJuYW1lIjoiYSJ9", Origin(id="x", encoding="base64"))
    changed = edited(found, lambda value: {**value, "data": {}})
    assert isinstance(changed, DeadLetter)
    assert changed.origin is not None
    assert (changed.message.body, changed.origin.encoding) == (b'{"name":"a","data":{}}', None)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda value: None, "reject"),
        (lambda value: {**value, "id": "another"}, "the id"),
        (lambda value: value["absent"], "KeyError"),
        (lambda value: float("nan"), "ValueError"),
    ],
)
def test_a_harmful_edit_is_not_sent(edit: Any, reason: str) -> None:
    skipped = edited(dead_letter('{"name":"a","id":"mine"}'), edit)
    assert isinstance(skipped, Skipped)
    assert skipped.code == "edit_failed"
    assert reason in skipped.reason


def test_an_edit_can_be_a_python_file(tmp_path: Path) -> None:
    file = tmp_path / "fix.py"
    file.write_text("def edit(value):\n    return {**value, 'v': '2'}\n")
    changed = edited(dead_letter(), load_edit(str(file)))
    assert isinstance(changed, DeadLetter)
    assert changed.events[0].v == "2"
    file.write_text("x = 1\n")
    with pytest.raises(ValueError, match="defines no function"):
        load_edit(str(file))


@pytest.mark.parametrize("text", ["import absent_module", "1 / 0", "raise SystemExit", "x = ("])
def test_an_edit_file_that_fails_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fix.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"fix\.py cannot be run"):
        load_edit(str(file))


def test_an_edit_that_exits_fails_for_that_message_only() -> None:
    skipped = edited(dead_letter(), lambda value: sys.exit())
    assert isinstance(skipped, Skipped)
    assert (skipped.code, "SystemExit" in skipped.reason) == ("edit_failed", True)


def test_a_rerun_changes_every_id() -> None:
    changed = edited(dead_letter('{"name":"a","id":"mine"}'), None, rerun=True)
    assert isinstance(changed, DeadLetter)
    assert [event.id for event in changed.events] == ["mine.r1"]
