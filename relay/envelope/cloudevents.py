"""CloudEvents 1.0 in the structured JSON format."""

from __future__ import annotations

from typing import Any

from relay.envelope import fields
from relay.envelope.inngest import unknown_field_notices
from relay.envelope.json_document import Document
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope

_KNOWN = frozenset(
    {"specversion", "id", "source", "type", "data", "time", "subject"}
    | {"datacontenttype", "dataschema", "traceparent", "tracestate"}
)


def cloudevent(document: Document) -> OpenedEnvelope:
    """One event: `type` is its name, `time` its time, `source` and `id` together its id.

    Raises:
        InvalidContent: `bad_cloudevent`, `binary_data`, or a rule for names or data is broken.
    """
    value = document.value
    if value.get("specversion") != "1.0":
        raise InvalidContent("bad_cloudevent", "the CloudEvent's specversion is not 1.0")
    if document.repeated & _KNOWN:
        raise InvalidContent("duplicate_key", "the CloudEvent has one of its attributes twice")
    trace = value.get("traceparent")
    source, own_id, kind = (_required(value, name) for name in ("source", "id", "type"))
    if "data_base64" in value:
        raise InvalidContent(
            "binary_data", "the CloudEvent's data is binary: send a JSON object as data"
        )
    draft = EventDraft(
        name=fields.name(kind),
        data=fields.payload(document.raw("data")),
        notices=document.notices + unknown_field_notices(sorted(value.keys() - _KNOWN)),
    )
    return OpenedEnvelope(
        kind="cloudevents",
        drafts=(draft,),
        id=_identity(source, own_id),
        ts=fields.from_iso_text(value.get("time")),
        trace=trace if isinstance(trace, str) else None,
        content=document.complete,
    )


def _identity(source: str, own_id: str) -> str:
    """A distinct text for each pair: the first part is encoded so that it contains no `#`."""
    return f"{source.replace('%', '%25').replace('#', '%23')}#{own_id}"


def _required(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not text:
        raise InvalidContent("bad_cloudevent", f"the CloudEvent's {name} is missing or not a text")
    return text
