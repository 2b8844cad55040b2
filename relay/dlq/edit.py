"""Edits: an operator's change to what a letter says, checked before anything is sent."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]  # ships no types
from msgspec import structs

from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.selection import Skipped
from relay.envelope import Decoded, Rules
from relay.envelope.ids import compile_path
from relay.envelope.json_document import split_array
from relay.envelope.opened_envelope import InvalidContent
from relay.model.encoded_body import decode_body
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin

Edit: TypeAlias = Callable[[Any], Any]


def load_edit(text: str) -> Edit:
    """The edit that a Python file's function `edit` makes, or a JMESPath.

    Raises:
        ValueError: it is neither. The text says why.
    """
    if text.endswith(".py"):
        return _from_file(Path(text))
    search: Edit = compile_path(text).search
    return search


def modify(
    letter: DeadLetter, rules: Rules, *, edit: Edit | None, rerun: bool
) -> DeadLetter | Skipped:
    """The letter with its body edited and, with `rerun`, under a new generation of its ids.

    Of an array only the pending events are edited, one by one, so that positions stay. The ids of
    events that had one must stay what they are.
    """
    if edit is None and not rerun:
        return letter
    origin = letter.origin
    if origin is None:
        return Skipped("bad_origin", "what the relay noted on it cannot be read, nor can its ids")
    body = letter.message.body
    if edit is not None:
        found = _edited(letter, origin, edit)
        if isinstance(found, Skipped):
            return found
        body, origin = found, replace(origin, encoding=None)
    now = replace(origin, generation=origin.generation + rerun)
    changed = _with(letter, body, origin if edit is not None else now, rules)
    problem = _problem(letter, changed) if edit is not None else None
    if problem is not None:
        return Skipped("edit_failed", problem)
    return _with(letter, body, now, rules)


def _from_file(path: Path) -> Edit:
    try:
        found = runpy.run_path(str(path)).get("edit")
    except (Exception, SystemExit) as error:
        # An operator's file may fail in any way, and none of them may look like a command that ran.
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ValueError(f"{path} defines no function `edit(value)`")  # noqa: TRY004 - a mistake in usage
    edit: Edit = found
    return edit


def _edited(letter: DeadLetter, origin: Origin, edit: Edit) -> bytes | Skipped:
    if letter.pointer is not None:
        return Skipped("edit_failed", "its events are in S3, where nothing is edited")
    if origin.task is not None:
        return Skipped("edit_failed", "its events are not in its body")
    try:
        body = decode_body(letter.message.body, origin.encoding)
        return _of_array(body, origin, edit) if body.lstrip().startswith(b"[") else _one(body, edit)
    except JMESPathError as error:
        return Skipped("edit_failed", f"the path cannot judge it: {error}")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an operator's code may fail in any way
        return Skipped("edit_failed", f"the edit raised {type(error).__name__}: {error}")


def _of_array(body: bytes, origin: Origin, edit: Edit) -> bytes:
    try:
        parts = split_array(body)
    except InvalidContent:
        return _one(body, edit)
    pending = range(len(parts)) if origin.pending is None else origin.pending
    for index in pending:
        parts[index] = _one(parts[index], edit)
    return b"[" + b",".join(parts) + b"]"


def _one(text: bytes, edit: Edit) -> bytes:
    """What is no JSON is given to the edit as text; a text that comes back is taken as it is."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        value = text.decode("utf-8", "replace")
    result = edit(value)
    if isinstance(result, str):
        return result.encode()
    return json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _with(letter: DeadLetter, body: bytes, origin: Origin, rules: Rules) -> DeadLetter:
    attributes = {k: v for k, v in letter.message.attributes.items() if k.casefold() != ATTRIBUTE}
    attributes[ATTRIBUTE] = Attribute("String", origin.pack())
    # As its own queue's relay will see it: with what is noted, and moved by nobody.
    seen = structs.replace(
        letter.message, body=body, attributes=attributes, dead_letter_source=None, task=None
    )
    read = read_dead_letter(seen, rules, payload=letter.payload)
    return replace(
        letter,
        message=structs.replace(letter.message, body=body),
        origin=origin,
        decoded=read.decoded,
        altered=True,
    )


def _problem(before: DeadLetter, after: DeadLetter) -> str | None:
    """Why the edited letter must not be sent, or None."""
    if not isinstance(after.found, Decoded):
        return f"the relay would reject the edited one: {after.found.reason}"
    if after.found.rejects:
        return f"the relay would reject an event of it: {after.found.rejects[0][1].reason}"
    ids = {event.index: event.id for event in after.events}
    for event in before.events:
        if ids.get(event.index) != event.id:
            return f"the edit changes or drops the id of an event, {event.id}"
    return None
