"""Facts and reports to tell of."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from relay.model.event import Event
from relay.model.facts import Fact, Forwarded, Received, Settled
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject
from relay.telemetry.flusher import gauges
from relay.telemetry.log import open_log
from relay.telemetry.log_observer import LogObserver, message_filter
from relay.telemetry.observers import Observer, Observers
from relay.telemetry.recorder import Recorder
from relay.telemetry.redaction import Redactor
from relay.telemetry.report import Report, State


def busy() -> Recorder:
    """Two hundred deliveries of as many ages, some refusals, a few requests."""
    counted = recorder()
    for number in range(200):
        tell(counted, Received(message()))
        ts = int((NOW - number) * 1_000)
        tell(counted, settled(results=[(event(ts=ts), Delivered())]))
    for code in ("not_json", "not_json", "empty_name"):
        tell(counted, settled(Reject(code, "no"), results=[]))
    for size in (1, 10, 100):
        tell(counted, Forwarded(events=size, size=1, seconds=size / 1_000))
    return counted


POISON = Reject("not_json", "the body is not JSON")


def written(*facts: Fact, messages: str = "all", payload: bool = False) -> list[dict[str, Any]]:
    """The lines of JSON that these facts become."""
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(
            log, message_filter=message_filter(messages), payload=payload, clock=lambda: NOW
        )
        tell(observer, *facts)
    return [json.loads(line) for line in screen.getvalue().splitlines()]


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
