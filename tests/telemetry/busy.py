"""A busy minute, as each sink has to tell it."""

from __future__ import annotations

from relay.model.facts import Forwarded, Received
from relay.model.message import Delivered, Reject
from relay.telemetry.recorder import Recorder
from tests.telemetry.samples import NOW, event, message, recorder, settled, tell


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
