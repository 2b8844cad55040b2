"""The ids of events: the same in push and pull mode, at each delivery and after each redrive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jmespath  # type: ignore[import-untyped] # it ships no types
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped] # the same

from relay.envelope.fields import is_encodable
from relay.envelope.opened_envelope import EventDraft, OpenedEnvelope
from relay.model.message import Message
from relay.model.origin import Origin


@lru_cache(maxsize=16)
def compile_path(path: str) -> Any:
    """The compiled JMESPath expression.

    Raises:
        ValueError: it is not a JMESPath; the text says where the error is.
    """
    try:
        return jmespath.compile(path)
    except JMESPathError as error:
        raise ValueError(f"{path!r} is not a JMESPath expression: {error}") from error


def search(path: str, content: Any) -> str | None:
    """The text or integer at the path, as text; None if there is neither."""
    try:
        value = compile_path(path).search(content)
    # Functions in the path get whatever types a producer sent, and no body may break the relay.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


KINDS = ("auto", "inngest", "sns", "eventbridge", "s3", "cloudevents", "task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How messages are decoded. Sizes are bytes.

    Attributes:
        envelope: one of `KINDS`. `auto` detects it for each message; any other value pins the
            outermost envelope of a body, so that `sns` does not restrict what is inside. A periodic
            task, which sqsd marks as such, is accepted with any pin.
        id_attribute: the name of the message attribute that holds a message's id.
        id_path: a JMESPath to the id in the body, used if the attribute is absent.
        fifo_dedup_id: use a FIFO message's deduplication id as its id; pull mode only.
        max_events: the most events in one message.
        max_event_bytes: the most bytes in one event as it is sent.
        task_prefix: the prefix of the event's name for a periodic task.
        trace_in_data: put the producer's trace parent into the event's data.

    Raises:
        ValueError: the envelope is not one of `KINDS`, or the path is not a JMESPath.
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
        """Refuse invalid rules at the start instead of at each message."""
        if self.envelope not in KINDS:
            kinds = ", ".join(KINDS)
            raise ValueError(f"{self.envelope!r} is not an envelope: choose one of {kinds}")
        if self.id_path is not None:
            compile_path(self.id_path)


MAX_LENGTH = 256
"""Characters. A longer id is replaced by its hash, so that it fits wherever ids are stored."""

NOT_FOUND = "id-not-found"
"""The notice if an id is configured and the message has none."""


def base_id(
    message: Message, origin: Origin | None, envelope: OpenedEnvelope, rules: Rules
) -> tuple[str, tuple[str, ...]]:
    """The message's id and the notices about it.

    The first of these: the id of an earlier delivery, the configured attribute, the configured
    path, the deduplication id if enabled, the envelope's own id, the first MessageId.
    """
    if origin is not None and not origin.undecoded:
        return bounded_id(origin.id), ()
    # The copy of a message that could not be decoded has another queue and deduplication id.
    queue = (origin.source if origin else None) or message.queue
    dedup_id = message.dedup_id if origin is None and rules.fifo_dedup_id else None
    configured = _configured(message, envelope, rules) or dedup_id
    if configured is not None:
        return bounded_id(f"{queue}:{configured}"), ()
    wanted = rules.id_attribute is not None or rules.id_path is not None
    first = origin.id if origin else message.message_id
    return bounded_id(envelope.id or first), (NOT_FOUND,) if wanted else ()


def event_id(
    draft: EventDraft, envelope: OpenedEnvelope, base: str, index: int, generation: int
) -> str:
    """The id of the event at this position. `.r<generation>` marks a deliberate new run."""
    if draft.id is not None:
        name = bounded_id(draft.id)
    elif (
        draft.native_id is not None and envelope.id is not None and base == bounded_id(envelope.id)
    ):
        name = bounded_id(draft.native_id)
    else:
        name = f"{base}.{index}" if envelope.array else base
    return f"{name}.r{generation}" if generation else name


def bounded_id(text: str) -> str:
    """The text, or its SHA-256 if it is too long or cannot be encoded as UTF-8."""
    if len(text) <= MAX_LENGTH and (text.isascii() or is_encodable(text)):
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def text_attribute(message: Message, envelope: OpenedEnvelope, name: str) -> str | None:
    """A text attribute of the message, or of the SNS message in it, without surrounding blanks.

    Binary attributes and surrounding blanks are ignored, because push mode does not receive them.
    """
    found = message.attribute(name)
    if found is not None and isinstance(found.value, str):
        return found.value.strip() or None
    folded = name.casefold()
    for key, value in envelope.attributes.items():
        if key.casefold() == folded:
            return value.strip() or None
    return None


def _configured(message: Message, envelope: OpenedEnvelope, rules: Rules) -> str | None:
    if rules.id_attribute is not None:
        named = text_attribute(message, envelope, rules.id_attribute)
        if named is not None:
            return named
    if rules.id_path is not None:
        named = search(rules.id_path, envelope.content())
        if named is not None:
            return named
    return None
