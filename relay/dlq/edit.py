"""Edits: an operator's change to the body of a dead letter, checked before anything is sent."""

from __future__ import annotations

import difflib
import json
import runpy
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]  # ships no types
from msgspec import structs
from msgspec.json import format as json_format

from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.selection import BODY_TRUNCATED, Skipped
from relay.envelope import Decoded, Rules
from relay.envelope.ids import compile_path
from relay.envelope.json_document import split_array
from relay.envelope.opened_envelope import InvalidContent
from relay.model.encoded_body import decode_body, is_truncated
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin

Edit: TypeAlias = Callable[[Any], Any]

MOST_LINES = 40
"""Lines of a diff that are shown."""


def load_edit(text: str) -> Edit:
    """The edit: the function `edit` of a Python file, or a JMESPath expression.

    Raises:
        ValueError: it is neither. The text says why.
    """
    if text.endswith(".py"):
        return _from_file(Path(text))
    search: Edit = compile_path(text).search
    return search


def modify(
    dead_letter: DeadLetter, rules: Rules, *, edit: Edit | None, rerun: bool
) -> DeadLetter | Skipped:
    """The dead letter with its body edited and, with `rerun`, with a new generation of its ids.

    In an array only the pending events are edited, one by one, so that positions don't change. An
    edit must not change the ids of events that have one. A dead letter of which only the beginning
    was kept is refused even without a change.
    """
    origin = dead_letter.origin
    if origin is not None and is_truncated(origin.encoding):
        return BODY_TRUNCATED
    if edit is None and not rerun:
        return dead_letter
    if origin is None:
        return Skipped("bad_origin", "its relay-origin attribute cannot be read, nor can its ids")
    body = dead_letter.message.body
    if edit is not None:
        edited = _edited(dead_letter, origin, edit)
        if isinstance(edited, Skipped):
            return edited
        body, origin = edited, replace(origin, encoding=None)
        problem = _problem(dead_letter, _with(dead_letter, body, origin, rules))
        if problem is not None:
            return Skipped("edit_failed", problem)
    return _with(dead_letter, body, replace(origin, generation=origin.generation + rerun), rules)


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit does to one dead letter, as the lines of a unified diff without its header."""

    message_id: str
    name: str
    lines: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The change as JSON values."""
        return {"message_id": self.message_id, "name": self.name, "lines": list(self.lines)}


def change_of(before: DeadLetter, after: DeadLetter) -> Change:
    """The difference between the bodies, each on several lines if it is JSON."""
    old, new = (_readable(one) for one in (before, after))
    lines = difflib.unified_diff(old, new, n=2, lineterm="")
    kept = tuple(line for line in islice(lines, 2, MOST_LINES + 2))
    return Change(before.message.message_id, before.name or "", kept)


def _readable(dead_letter: DeadLetter) -> list[str]:
    encoding = dead_letter.origin.encoding if dead_letter.origin else None
    try:
        body = decode_body(dead_letter.message.body, encoding)
        # Formats the text itself, so that numbers of any size stay as they are.
        return json_format(body, indent=2).decode("utf-8", "replace").splitlines()
    except ValueError:
        return dead_letter.message.body.decode("utf-8", "replace").splitlines()


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


def _edited(dead_letter: DeadLetter, origin: Origin, edit: Edit) -> bytes | Skipped:
    if dead_letter.pointer is not None:
        return Skipped("edit_failed", "its events are in S3, where nothing is edited")
    if origin.task is not None:
        return Skipped("edit_failed", "its events are not in its body")
    try:
        body = decode_body(dead_letter.message.body, origin.encoding)
        if body.lstrip().startswith(b"["):
            return _edited_array(body, origin, edit)
        return _edited_value(body, edit)
    except JMESPathError as error:
        return Skipped("edit_failed", f"the JMESPath cannot be applied to it: {error}")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an operator's code may fail in any way
        return Skipped("edit_failed", f"the edit raised {type(error).__name__}: {error}")


def _edited_array(body: bytes, origin: Origin, edit: Edit) -> bytes:
    try:
        parts = split_array(body)
    except InvalidContent:
        return _edited_value(body, edit)
    pending = range(len(parts)) if origin.pending is None else origin.pending
    for index in pending:
        parts[index] = _edited_value(parts[index], edit)
    return b"[" + b",".join(parts) + b"]"


def _edited_value(text: bytes, edit: Edit) -> bytes:
    """The edit's result. What is not JSON is passed as text; a text result is used as it is."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        value = text.decode("utf-8", "replace")
    result = edit(value)
    if isinstance(result, str):
        return result.encode()
    return json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _with(dead_letter: DeadLetter, body: bytes, origin: Origin, rules: Rules) -> DeadLetter:
    attributes = {
        name: value
        for name, value in dead_letter.message.attributes.items()
        if name.casefold() != ATTRIBUTE
    }
    attributes[ATTRIBUTE] = Attribute("String", origin.pack())
    # Decode it as the relay of its queue will: with its origin, and not as moved by SQS.
    redriven = structs.replace(
        dead_letter.message, body=body, attributes=attributes, dead_letter_source=None, task=None
    )
    read = read_dead_letter(redriven, rules, payload=dead_letter.payload)
    return replace(
        dead_letter,
        message=structs.replace(dead_letter.message, body=body),
        origin=origin,
        decode=read.decode,
        modified=True,
    )


def _problem(before: DeadLetter, after: DeadLetter) -> str | None:
    """Why the edited dead letter must not be sent, or None."""
    if not isinstance(after.decoded, Decoded):
        return f"the relay would reject the edited message: {after.decoded.reason}"
    if after.decoded.rejects:
        return f"the relay would reject an edited event: {after.decoded.rejects[0][1].reason}"
    ids = {event.index: event.id for event in after.events}
    for event in before.events:
        if ids.get(event.index) != event.id:
            return f"the edit changes or drops the id of an event, {event.id}"
    return None
