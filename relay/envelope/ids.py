"""The ids of events: the same in both modes, at each delivery, and after each redrive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jmespath  # type: ignore[import-untyped] # it ships no types
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped] # the same

from relay.envelope.fields import writable
from relay.envelope.opened_envelope import EventDraft, OpenedEnvelope
from relay.model.message import Message
from relay.model.origin import Origin


@lru_cache(maxsize=16)
def compile_path(path: str) -> Any:
    """The parsed expression.

    Raises:
        ValueError: it is no JMESPath; the text says where it goes wrong.
    """
    try:
        return jmespath.compile(path)
    except JMESPathError as error:
        raise ValueError(f"{path!r} is no JMESPath: {error}") from error


def search(path: str, content: Any) -> str | None:
    """The text or integer that the path leads to, as text; None where it leads to nothing such."""
    try:
        value = compile_path(path).search(content)
    # Its functions meet whatever types a producer sent; a body may not break the relay.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


KINDS = ("auto", "inngest", "sns", "eventbridge", "s3", "cloudevents", "task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How messages are read. Sizes are bytes.

    Attributes:
        envelope: one of `KINDS`; `auto` looks at each message. A pin speaks of the outermost
            envelope of a body: `sns` says nothing about what is inside. A firing that sqsd itself
            marks as a periodic task is one under any pin.
        id_attribute: name of the message attribute that holds a message's id.
        id_path: a JMESPath into the body for the same, where the attribute is absent.
        fifo_dedup_id: take a FIFO message's deduplication id as its id; pull mode only.
        max_events: the most events in one message.
        max_event_bytes: the most bytes in one event as it is sent.
        task_prefix: put before a periodic task's name to make its event's name.
        trace_in_data: put the producer's trace parent into the event's data.

    Raises:
        ValueError: the envelope is not one of `KINDS`, or the path is no JMESPath.
    """

    envelope: str = "auto"
    id_attribute: str | None = None
    id_path: str | None = None
    fifo_dedup_id: bool = False
    max_events: int = 5_000
    max_event_bytes: int = 3_145_728
    task_prefix: str = "task/"
    trace_in_data: bool = False

    def __post_init__(self) -> None:
        """Refuse at the start what no message could be read with."""
        if self.envelope not in KINDS:
            raise ValueError(f"{self.envelope!r} is no envelope: choose one of {', '.join(KINDS)}")
        if self.id_path is not None:
            compile_path(self.id_path)


MAX_LENGTH = 256
"""Characters. A longer id is replaced by its hash, so that it fits wherever ids are kept."""

NOT_FOUND = "id-not-found"
"""Notice: an id is configured and this message has none."""


def base_id(
    message: Message, past: Origin | None, letter: OpenedEnvelope, rules: Rules
) -> tuple[str, tuple[str, ...]]:
    """The message's id and the notices about it.

    In this order: what an earlier delivery called it, the configured attribute, the configured
    path, the deduplication id if opted in, the envelope's own id, SQS's first MessageId.
    """
    if past is not None and not past.undecoded:
        return fitted(past.id), ()
    # A copy of a message that nobody could read has another queue and deduplication id.
    queue = (past.source if past else None) or message.queue
    dedup_id = message.dedup_id if past is None and rules.fifo_dedup_id else None
    configured = _configured(message, letter, rules) or dedup_id
    if configured is not None:
        return fitted(f"{queue}:{configured}"), ()
    wanted = rules.id_attribute is not None or rules.id_path is not None
    first = past.id if past else message.message_id
    return fitted(letter.id or first), (NOT_FOUND,) if wanted else ()


def event_id(
    draft: EventDraft, letter: OpenedEnvelope, base: str, index: int, generation: int
) -> str:
    """The id of the event at this position; `.r<generation>` is a deliberate new run."""
    if draft.id is not None:
        name = fitted(draft.id)
    elif draft.native is not None and letter.id is not None and base == fitted(letter.id):
        name = fitted(draft.native)
    else:
        name = f"{base}.{index}" if letter.array else base
    return f"{name}.r{generation}" if generation else name


def fitted(text: str) -> str:
    """The text, or its SHA-256 where it is too long to keep or has no UTF-8."""
    if len(text) <= MAX_LENGTH and (text.isascii() or writable(text)):
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def attribute(message: Message, letter: OpenedEnvelope, name: str) -> str | None:
    """A text attribute of the message, or of the SNS message in it, without blanks around it.

    Binary ones are no candidates and blanks don't count: push mode loses both on the way.
    """
    found = message.attribute(name)
    if found is not None and isinstance(found.value, str):
        return found.value.strip() or None
    folded = name.casefold()
    for key, value in letter.attributes.items():
        if key.casefold() == folded:
            return value.strip() or None
    return None


def _configured(message: Message, letter: OpenedEnvelope, rules: Rules) -> str | None:
    if rules.id_attribute is not None:
        named = attribute(message, letter, rules.id_attribute)
        if named is not None:
            return named
    if rules.id_path is not None:
        named = search(rules.id_path, letter.content)
        if named is not None:
            return named
    return None
