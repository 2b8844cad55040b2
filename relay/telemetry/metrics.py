"""The one table of metrics, used by the relay, the alarms, the dashboard and the docs.

Standard library only, so that the infrastructure code can import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NAMESPACE = "Relay"

DIMENSIONS = ("service", "queue")
"""The dimensions of every metric. No more: CloudWatch bills each combination of values as a metric
of its own. `service` is `RELAY_SERVICE`, `queue` is the queue's name."""

SLO_SECONDS = 300.0
"""Service level objective: accept an event within this many seconds of its first send."""

SLO_SHARE = 0.999
"""Service level objective: the share of events to accept in time."""

FLUSH_SECONDS = 60.0
"""Seconds between two reports. The periods of alarms are multiples of it."""

CIRCUIT_STATES = {"closed": 0, "half-open": 1, "open": 2, "halted": 3}
"""The value of `CircuitState` for each `circuit` of `relay.forwarding.ForwarderState`."""


class Kind(Enum):
    """How the values of a metric are combined between two reports and across instances."""

    COUNTER = "counter"
    """A sum since the last report. A 0 is sent too, so that an alarm can tell 0 from no data."""

    GAUGE = "gauge"
    """The current value, one for each process."""

    HISTOGRAM = "histogram"
    """Every value, in a bounded number of buckets, for percentiles."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `unit` is CloudWatch's name for the unit.

    `labels` go only to sinks where another label costs nothing; CloudWatch is not one of them. A
    `sparse` counter is of some relays only: CloudWatch, which bills each metric, gets no 0 of it.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    sparse: bool = False


def _counter(name: str, description: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, "Count", description, labels)


def _sparse(name: str, description: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, "Count", description, labels, sparse=True)


def _gauge(name: str, description: str, unit: str = "Count") -> Metric:
    return Metric(name, Kind.GAUGE, unit, description)


def _histogram(name: str, unit: str, description: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, unit, description)


RECEIVED = _counter(
    "Received", "Messages received; a repeated delivery of one in flight is not counted."
)
DELIVERED = _counter("Delivered", "Events that the destination accepted, including duplicates.")
DUPLICATES = _counter("Duplicates", "Events known to have been accepted before; nothing ran again.")
RETRIED = _counter("Retried", "Events not delivered this time; their messages stay in the queue.")
REJECTED = _counter("Rejected", "Events rejected for good.", "code")
DEAD_LETTERED = _counter(
    "DeadLettered", "Messages copied to the dead-letter queue with a reason.", "code"
)
DEAD_LETTERS_TOO_LARGE = _counter(
    "DeadLettersTooLarge",
    "Messages too large for the dead-letter queue: tried again later, or truncated at the end of"
    " the queue's retention.",
)
REJECTS_HELD = _counter(
    "RejectsHeld",
    "Messages left in the queue because the reject guard holds them, once for each receive.",
    "code",
)
REDRIVEN = _counter("Redriven", "Messages that came back from the dead-letter queue.")
AMBIGUOUS = _counter(
    "Ambiguous",
    "Events that may have run and that the destination no longer remembers; a person decides.",
)
HALTED = _gauge(
    "Halted",
    "1 while a misconfiguration keeps the relay from receiving, sending or dead-lettering, else 0."
    " A halt of the reject guard shows in the minute of it, however short.",
)
STUCK = _gauge(
    "Stuck",
    "1 while events are not delivered although the circuit is closed, else 0.",
)
UNHEARD = _gauge(
    "Unheard",
    "Names of delivered events that no function listens to, until one does; 0 without"
    " `RELAY_UNHEARD_EVERY`.",
)
PAUSED = _gauge("Paused", "1 while the queue is paused by `relay pause`, else 0.")
END_TO_END_AGE = _histogram(
    "EndToEndAge",
    "Seconds",
    "From the event's `ts`, or the message's first send, until the destination accepted the event.",
)
FORWARD_LATENCY = _histogram(
    "ForwardLatency", "Seconds", "Duration of one request to the destination, successful or not."
)
BATCH_SIZE = _histogram("BatchSize", "Count", "Events in one request to the destination.")
IN_FLIGHT = _gauge("InFlight", "Messages in flight.")
CONCURRENCY = _gauge(
    "Concurrency", "Current limit of requests at once; it adapts to the destination."
)
VISIBILITY_EXTENSIONS = _counter(
    "VisibilityExtensions", "Visibility timeouts extended, in pull mode; push mode extends none."
)
LATE_DELETES = _counter(
    "LateDeletes",
    "Deletes after the visibility timeout had expired; such a message may be delivered again.",
)
CIRCUIT_STATE = _gauge(
    "CircuitState",
    "The destination's circuit breaker: 0 closed, 1 half-open (being probed), 2 open, 3 halted.",
    "None",
)
HEARTBEAT = _counter(
    "Heartbeat", "1 for each report of each relay that runs; no data means none is running."
)
DELIVERED_IN_SLO = _counter(
    "DeliveredInSlo",
    f"Events accepted within `RELAY_SLO` (default {SLO_SECONDS:g} s) of the message's first send.",
)
DELIVERED_LATE = _counter("DeliveredLate", "Events accepted later than `RELAY_SLO`.")
LEDGER_FAILURES = _counter(
    "LedgerFailures",
    "Failed ledger reads and writes, one for each event; delivery continues without the ledger.",
)
IDS_REUSED = _counter(
    "IdsReused",
    "Events whose id was used before with different content; treated as the same event.",
)
TELEMETRY_FAILURES = _counter(
    "TelemetryFailures",
    "Failed metric reports and span exports, and errors in observers; delivery continues.",
)
LOG_LINES_LOST = _counter(
    "LogLinesLost", "Log lines dropped: the disk is full, or nobody reads the pipe."
)
PROCESS_RESTARTS = _sparse(
    "ProcessRestarts", "Processes of `RELAY_PROCESSES` that ended by themselves and were restarted."
)
GATEWAY_ACCEPTED = _sparse(
    "GatewayAccepted", "Events that `relay gateway` put into the queue, repeated ones included."
)
GATEWAY_REFUSED = _sparse(
    "GatewayRefused",
    "Requests that `relay gateway` answered with an error that only the sender can change.",
    "code",
)
GATEWAY_UNAVAILABLE = _sparse(
    "GatewayUnavailable",
    "Requests that `relay gateway` answered 503: SQS did not confirm all events, or it was busy.",
    "code",
)
GATEWAY_LATENCY = _histogram(
    "GatewayLatency", "Seconds", "Time in which `relay gateway` answered a request with success."
)

METRICS = (
    RECEIVED,
    DELIVERED,
    DUPLICATES,
    RETRIED,
    REJECTED,
    DEAD_LETTERED,
    DEAD_LETTERS_TOO_LARGE,
    REJECTS_HELD,
    REDRIVEN,
    AMBIGUOUS,
    HALTED,
    STUCK,
    UNHEARD,
    PAUSED,
    END_TO_END_AGE,
    FORWARD_LATENCY,
    BATCH_SIZE,
    IN_FLIGHT,
    CONCURRENCY,
    VISIBILITY_EXTENSIONS,
    LATE_DELETES,
    CIRCUIT_STATE,
    HEARTBEAT,
    DELIVERED_IN_SLO,
    DELIVERED_LATE,
    LEDGER_FAILURES,
    IDS_REUSED,
    TELEMETRY_FAILURES,
    LOG_LINES_LOST,
    PROCESS_RESTARTS,
    GATEWAY_ACCEPTED,
    GATEWAY_REFUSED,
    GATEWAY_UNAVAILABLE,
    GATEWAY_LATENCY,
)
