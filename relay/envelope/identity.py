"""The ids of events: the same in both modes, at each delivery, and after each redrive."""

from __future__ import annotations

import hashlib

from relay.envelope import id_path
from relay.envelope.fields import writable
from relay.envelope.letter import Draft, Letter
from relay.envelope.rules import Rules
from relay.message import Message
from relay.origin import Origin

MAX_LENGTH = 256
"""Characters. A longer id is replaced by its hash, so that it fits wherever ids are kept."""

NOT_FOUND = "id-not-found"
"""Notice: an id is configured and this message has none."""


def base_id(
    message: Message, past: Origin | None, letter: Letter, rules: Rules
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


def event_id(draft: Draft, letter: Letter, base: str, index: int, generation: int) -> str:
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


def attribute(message: Message, letter: Letter, name: str) -> str | None:
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


def _configured(message: Message, letter: Letter, rules: Rules) -> str | None:
    if rules.id_attribute is not None:
        named = attribute(message, letter, rules.id_attribute)
        if named is not None:
            return named
    if rules.id_path is not None:
        named = id_path.found(rules.id_path, letter.content)
        if named is not None:
            return named
    return None
