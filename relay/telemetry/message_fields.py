"""What one log line says about one message, at its end."""

from __future__ import annotations

from collections.abc import Iterator
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
) -> Iterator[dict[str, Any]]:
    """The fields of the message's line, or of its lines where it held very many events."""
    about = _about(fact, now)
    if not fact.rejects and len(fact.results) <= 1:
        yield about | _alone(fact, attempts, payload=payload)
        return
    entries = [
        *(_entry(event, outcome, attempts, payload=payload) for event, outcome in fact.results),
        *({"index": index, **_verdict(reject)} for index, reject in fact.rejects),
    ]
    parts = range(0, len(entries), EVENTS)
    for number, start in enumerate(parts, 1):
        part = {"part": number, "parts": len(parts)} if len(parts) > 1 else {}
        yield {
            **about,
            **_verdict(fact.outcome),
            "event_count": len(entries),
            **part,
            "events": entries[start : start + EVENTS],
        }


def _about(fact: Settled, now: float) -> dict[str, Any]:
    message = fact.message
    fields: dict[str, Any] = {
        "message_id": message.message_id,
        "queue": message.queue,
        "receive_count": message.receive_count,
        "seconds": round(fact.seconds, 3),
    }
    if message.sent_at is not None:
        fields["age"] = round(now - message.sent_at, 3)
    if message.group_id is not None:
        fields["group_id"] = message.group_id
    if fact.notices:
        fields["notices"] = list(fact.notices)
    return fields


def _alone(fact: Settled, attempts: Attempts, *, payload: bool) -> dict[str, Any]:
    if not fact.results:
        body = {"body": fact.message.body.decode(errors="replace")} if payload else {}
        return _verdict(fact.outcome) | body
    ((event, outcome),) = fact.results
    entry = _entry(event, outcome, attempts, payload=payload)
    # What the message came to counts: a refusal that found no place is to be tried again.
    return {**_renamed(entry), **_verdict(fact.outcome)}


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    entry["event_id"], entry["event_name"] = entry.pop("id"), entry.pop("name")
    return entry


def _entry(event: Event, outcome: Outcome, attempts: Attempts, *, payload: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": event.id, "name": event.name, **_verdict(outcome)}
    attempt = attempts.take(event.id)
    if attempt is not None:
        entry["attempts"] = attempt.number
        entry["batch"] = attempt.batch
        entry["batch_events"] = attempt.batch_events
    if event.trace is not None:
        entry["trace_id"] = event.trace[_TRACE_ID]
    if payload and event.data is not None:
        entry["data"] = event.data.decode(errors="replace")
    return entry


def _verdict(outcome: Outcome) -> dict[str, Any]:
    fields: dict[str, Any] = {"outcome": WORDS[type(outcome)]}
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
