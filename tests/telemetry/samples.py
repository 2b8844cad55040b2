"""Facts and reports to tell of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relay.model.facts import Fact, Settled
from relay.model.message import Delivered, Event, Message, Outcome
from relay.telemetry.flusher import gauges
from relay.telemetry.observers import Observer, Observers
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, State

NOW = 1_760_000_000.0
DIMENSIONS = {"service": "relay", "queue": "orders"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def message(message_id: str = "m-1", **fields: Any) -> Message:
    return Message(
        **{
            "body": b"{}",
            "message_id": message_id,
            "queue": "orders",
            "sent_at": NOW - 2.0,
            **fields,
        }
    )


def event(event_id: str = "e-1", **fields: Any) -> Event:
    return Event(
        **{"id": event_id, "name": "shop/paid", "data": b"{}", "message_id": "m-1"} | fields
    )


def settled(
    outcome: Outcome = Delivered("ref-1"),  # noqa: B008 - frozen
    results: Sequence[tuple[Event, Outcome]] | None = None,
    about: Message | None = None,
    **fields: Any,
) -> Settled:
    """A message's end; of one event with the same outcome if no results are given."""
    if results is None:
        results = [(event(), outcome)]
    return Settled(
        message=about or message(),
        outcome=outcome,
        at=NOW,
        seconds=0.25,
        results=tuple(results),
        **fields,
    )


def recorder(**fields: Any) -> Recorder:
    return Recorder(**fields)


def tell(observer: Observer, *facts: Fact) -> None:
    """Tell an observer a round of facts."""
    mistakes: list[None] = []
    observers = Observers(observer, soon=lambda _: None, failed=lambda: mistakes.append(None))
    for fact in facts:
        observers.observe(fact)
    observers.tell()
    assert not mistakes


def report(counted: Recorder, state: State | None = None, at: float = NOW) -> Report:
    return Report(
        at=at,
        dimensions=DIMENSIONS,
        window=counted.take(),
        gauges=gauges(state or State()),
    )
