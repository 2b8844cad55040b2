"""The state of a forwarder, as operators see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderState:
    """The circuit, and what keeps events from being delivered.

    Attributes:
        circuit: `closed`, `open`, `half-open` (an outage is being probed) or `halted`.
        reason: why it is not closed; while closed, that events fail alone without a witness.
        setting: the setting to check while halted.
        seconds: how long the circuit has been closed, or not closed.
        in_flight: events submitted and still without an outcome.
        last_error: the reason of the last failed request, however old.
    """

    circuit: str
    reason: str
    setting: str | None
    seconds: float
    in_flight: int
    last_error: str | None
