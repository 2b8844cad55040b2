"""Events of an EventBridge bus or pipe, as a rule's target queue receives them."""

from __future__ import annotations

from relay.envelope import fields, moment
from relay.envelope.document import Document
from relay.envelope.letter import Draft, Letter
from relay.envelope.unfit import Unfit


def letter(found: Document) -> Letter:
    """One event: `detail-type` is its name, `detail` its data, `time` its time.

    Raises:
        Unfit: `bad_eventbridge`, or a rule for names or data is broken.
    """
    value = found.value
    title, own_id = value.get("detail-type"), value.get("id")
    if not isinstance(title, str):
        raise Unfit("bad_eventbridge", "an EventBridge event has a text as detail-type")
    if found.repeated & {"id", "detail-type", "detail"}:
        raise Unfit("duplicate_key", "the EventBridge event has one of its fields twice")
    drafted = Draft(
        name=fields.name(title),
        data=fields.payload(value.get("detail"), found.text("detail")),
        notices=found.notices,
    )
    return Letter(
        kind="eventbridge",
        drafts=(drafted,),
        id=own_id or None if isinstance(own_id, str) else None,
        ts=moment.of_text(value.get("time")),
        content=value,
    )
