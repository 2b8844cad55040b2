"""How much a poller takes at a time, and what it reports about itself."""

from __future__ import annotations

from dataclasses import dataclass

from relay.settings.clocks import DRAIN_DEADLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a poller takes at a time. Durations are seconds, sizes bytes.

    Attributes:
        max_in_flight: the most messages received and not yet settled.
        max_in_flight_bytes: the most bytes of them; one message is always taken.
        handler_concurrency: the most messages handled at a time; None for all in flight.
        receivers: the most receives at a time; one while the queue is idle.
        wait: how long SQS waits for a message in a long poll: at most 20, at most half the
            visibility timeout, and a little less than `drain`.
        drain: how long handlers may go on after a stop.
        linger: how long a delete or a visibility change waits for others in its batch.
        stop_on_reject: whether a rejected message on a FIFO queue parks its group.
    """

    max_in_flight: int = 500
    max_in_flight_bytes: int = 64 * 1_048_576
    handler_concurrency: int | None = None
    receivers: int = 4
    wait: float = 20.0
    drain: float = DRAIN_DEADLINE
    linger: float = 0.1
    stop_on_reject: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerStatus:
    """What a poller is doing: `state` is `open`, `backing-off`, `halted` or `stopping`.

    `in_flight` counts messages received and not yet settled, `handling` those being handled.
    """

    state: str
    reason: str
    in_flight: int
    handling: int
