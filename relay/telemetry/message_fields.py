"""What one log line says about one message, at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from relay.facts import Settled
from relay.message import Delivered, Event, Outcome, Reject, Retry
from relay.telemetry.attempts import Attempts

WORDS: dict[type[Outcome], str] = {Delivered: "delivered", Retry: "retried", Reject: "rejected"}
"""What `outcome` says. Rejected is a message whose copy is in the dead-letter queue."""

EVENTS = 100
"""Events of one message in one line; a message of more has several, so that each line is read."""

LONGEST = 500
"""Characters of a reason. Some are a server's words."""

_TRACE_ID = slice(3, 35)


def lines_of(
    fact: Settled, attempts: Attempts, now: float, *, payload: bool
) -> Sequence[dict[str, Any]]:
    """The fields of the message's line, or of its lines where it held very many events."""
    if not fact.rejects and len(fact.results) <= 1:
        return (_alone(fact, attempts, now, payload=payload),)
    return tuple(_several(fact, attempts, now, payload=payload))


def _several(
    fact: Settled, attempts: Attempts, now: float, *, payload: bool
) -> Iterator[dict[str, Any]]:
    entries = [
        *(_entry(event, outcome, attempts, payload=payload) for event, outcome in fact.results),
        *({"index": index, **_verdict(reject, {})} for index, reject in fact.rejects),
    ]
    parts = range(0, len(entries), EVENTS)
    for number, start in enumerate(parts, 1):
        fields = _verdict(fact.outcome, _about(fact, now))
        fields["event_count"] = len(entries)
        if len(parts) > 1:
            fields |= {"part": number, "parts": len(parts)}
        yield {**fields, "events": entries[start : start + EVENTS]}


def _about(fact: Settled, now: float) -> dict[str, Any]:
    message = fact.message
    fields: dict[str, Any] = {
        "message_id": message.message_id,
        "queue": message.queue,
        "receive_count": message.receive_count,
        "seconds": _to_milliseconds(fact.seconds),
    }
    if message.sent_at is not None:
        fields["age"] = _to_milliseconds(now - message.sent_at)
    if message.group_id is not None:
        fields["group_id"] = message.group_id
    if fact.notices:
        fields["notices"] = fact.notices
    return fields


def _to_milliseconds(seconds: float) -> float:
    """Seconds with three decimals. `round` goes through the digits, a tenth of a line's work."""
    return int(seconds * 1_000 + 0.5) / 1_000


def _alone(fact: Settled, attempts: Attempts, now: float, *, payload: bool) -> dict[str, Any]:
    fields = _about(fact, now)
    for event, _ in fact.results:
        fields["event_id"] = event.id
        fields["event_name"] = event.name
        _sending(event, attempts, fields, payload=payload)
    if payload and not fact.results:
        fields["body"] = fact.message.body.decode(errors="replace")
    # What the message came to counts: a refusal that found no place is to be tried again.
    return _verdict(fact.outcome, fields)


def _entry(event: Event, outcome: Outcome, attempts: Attempts, *, payload: bool) -> dict[str, Any]:
    entry = _verdict(outcome, {"id": event.id, "name": event.name})
    _sending(event, attempts, entry, payload=payload)
    return entry


def _sending(event: Event, attempts: Attempts, fields: dict[str, Any], *, payload: bool) -> None:
    attempt = attempts.take(event.id)
    if attempt is not None:
        fields["attempts"] = attempt.number
        fields["batch"] = attempt.batch
        fields["batch_events"] = attempt.batch_events
    if event.trace is not None:
        fields["trace_id"] = event.trace[_TRACE_ID]
    if payload and event.data is not None:
        fields["data"] = event.data.decode(errors="replace")


def _verdict(outcome: Outcome, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with what became of it added to them."""
    fields["outcome"] = WORDS[type(outcome)]
    if isinstance(outcome, Delivered):
        if outcome.reference is not None:
            fields["reference"] = outcome.reference
        if outcome.duplicate:
            fields["duplicate"] = True
        return fields
    fields["reason"] = outcome.reason[:LONGEST]
    if isinstance(outcome, Reject):
        fields["code"] = outcome.code
        if outcome.may_have_run:
            fields["may_have_run"] = True
    elif outcome.after is not None:
        fields["after"] = round(outcome.after, 1)
    return fields
