"""Sample facts and reports, and the log lines that facts become."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from relay.model.event import Event
from relay.model.facts import Fact, Forwarded, Handled, Received
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject
from relay.output.redaction import Redactor
from relay.telemetry.flusher import gauges
from relay.telemetry.log import open_log
from relay.telemetry.log_observer import LogObserver, message_filter
from relay.telemetry.observers import Observer, Observers
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, State

NOW = 1_760_000_000.0
POISON = Reject("not_json", "the body is not JSON")
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
    of: Message | None = None,
    **fields: Any,
) -> Handled:
    """A message that settled; without `results` it has one event with the same outcome."""
    if results is None:
        results = [(event(), outcome)]
    return Handled(
        message=of or message(),
        outcome=outcome,
        at=NOW,
        seconds=0.25,
        results=tuple(results),
        **fields,
    )


def observe(observer: Observer, *facts: Fact) -> None:
    """Pass one round of facts to the observer."""
    errors: list[None] = []
    observers = Observers(observer, call_soon=lambda _: None, on_error=lambda: errors.append(None))
    for fact in facts:
        observers.observe(fact)
    observers.flush()
    assert not errors


def log_lines(*facts: Fact, messages: str = "all", payload: bool = False) -> list[dict[str, Any]]:
    """The JSON lines that these facts become."""
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(
            log, message_filter=message_filter(messages), payload=payload, clock=lambda: NOW
        )
        observe(observer, *facts)
    return [json.loads(line) for line in screen.getvalue().splitlines()]


def busy_recorder() -> Recorder:
    """Two hundred deliveries with as many ages, three rejections, three requests."""
    recorder = Recorder()
    for number in range(200):
        observe(recorder, Received(message()))
        ts = int((NOW - number) * 1_000)
        observe(recorder, settled(results=[(event(ts=ts), Delivered())]))
    for code in ("not_json", "not_json", "empty_name"):
        observe(recorder, settled(Reject(code, "no"), results=[]))
    for size in (1, 10, 100):
        observe(recorder, Forwarded(events=size, size=1, seconds=size / 1_000))
    return recorder


def report(recorder: Recorder, state: State | None = None, at: float = NOW) -> Report:
    return Report(
        at=at,
        dimensions=DIMENSIONS,
        window=recorder.take(),
        gauges=gauges(state or State()),
    )


def wait_for(condition: Callable[[], int | bool]) -> int:
    """Wait until the condition is true, and return its value."""
    pause = threading.Event()
    while not (found := condition()):
        pause.wait(0.005)
    return int(found)
