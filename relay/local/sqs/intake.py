"""From what a producer hands in to a message that a queue can keep, or a refusal."""

from __future__ import annotations

import hashlib
from uuid import uuid4

from relay.local.sqs.attributes import QueueAttributes
from relay.local.sqs.content import check_attributes, check_body, check_token
from relay.local.sqs.digest import md5_of_attributes, md5_of_body
from relay.local.sqs.errors import invalid, invalid_value, missing
from relay.local.sqs.parameters import AttributeValue, Draft
from relay.local.sqs.stored import Stored

TRACE_HEADER = "AWSTraceHeader"
MAX_DELAY = 900
_WRONG_TYPE = "The request include parameter that is not valid for this queue type"


def accept(draft: Draft, attributes: QueueAttributes, now: float) -> Stored:
    """Make a message of a draft, with a new id, not yet in any queue.

    Raises:
        SqsError: for whatever SQS refuses in it.
    """
    check_body(draft.message_body)
    custom = draft.message_attributes or {}
    body = draft.message_body.encode()
    size = len(body) + (check_attributes(custom) if custom else 0)
    if size > attributes.max_size:
        raise invalid(
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{attributes.max_size} bytes."
        )
    _check_delay(draft, attributes)
    return Stored(
        serial=0,
        message_id=str(uuid4()),
        body=draft.message_body,
        md5_of_body=md5_of_body(body),
        size=size,
        sent_at=now,
        attributes=custom,
        md5_of_attributes=md5_of_attributes(custom),
        md5_of_system_attributes=md5_of_attributes(draft.message_system_attributes or {}),
        trace_header=_trace_header(draft.message_system_attributes or {}),
        group_id=_group_id(draft, attributes),
        dedup_id=_dedup_id(draft, attributes),
    )


def draft_size(draft: Draft) -> int:
    """The bytes that a draft counts for in its batch, before anything in it was checked."""
    return len(draft.message_body.encode()) + sum(
        len(name.encode())
        + len(value.data_type.encode())
        + len(value.binary_value or (value.string_value or "").encode())
        for name, value in (draft.message_attributes or {}).items()
    )


def _check_delay(draft: Draft, attributes: QueueAttributes) -> None:
    delay = draft.delay_seconds
    if delay is None:
        return
    if attributes.fifo and delay:
        raise invalid_value("DelaySeconds", delay, f"{_WRONG_TYPE}.")
    if not 0 <= delay <= MAX_DELAY:
        raise invalid_value("DelaySeconds", delay, "DelaySeconds must be >= 0 and <= 900.")


def _trace_header(system: dict[str, AttributeValue]) -> str | None:
    for name, value in system.items():
        if name != TRACE_HEADER or value.data_type != "String" or not value.string_value:
            raise invalid(f"Message system attribute name '{name}' is invalid.")
        return value.string_value
    return None


def _group_id(draft: Draft, attributes: QueueAttributes) -> str | None:
    if attributes.fifo and draft.message_group_id is None:
        raise missing("MessageGroupId")
    check_token("MessageGroupId", draft.message_group_id)
    return draft.message_group_id


def _dedup_id(draft: Draft, attributes: QueueAttributes) -> str | None:
    given = draft.message_deduplication_id
    if not attributes.fifo:
        if given is not None:
            raise invalid_value("MessageDeduplicationId", given, f"{_WRONG_TYPE}.")
        return None
    check_token("MessageDeduplicationId", given)
    if given is None and not attributes.content_based:
        raise invalid(
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        )
    return given or hashlib.sha256(draft.message_body.encode()).hexdigest()
