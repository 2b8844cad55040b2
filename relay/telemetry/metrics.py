"""The one table of metrics: the emitter, the alarms, the dashboard and the docs all read it.

Standard library only, so that the infrastructure code imports it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NAMESPACE = "Relay"

DIMENSIONS = ("service", "queue")
"""The dimensions of every metric, no more: each further combination of values is billed as a metric
of its own. `service` is `RELAY_SERVICE`, `queue` is the queue's name."""

SLO_SECONDS = 300.0
"""An event counts as in time when it was accepted within so many seconds of `SentTimestamp`."""

SLO_SHARE = 0.999
"""The share of events that the objective wants in time."""

FLUSH_SECONDS = 60.0
"""Metrics go out once in so many seconds. Alarms look at whole multiples of it."""

CIRCUIT_STATES = {"closed": 0, "half-open": 1, "open": 2, "halted": 3}
"""The value of `CircuitState` for each state that `relay.facts.CircuitChanged` names."""


class Kind(Enum):
    """How a metric's values add up between two flushes and across instances."""

    COUNTER = "counter"
    """A sum since the last flush; 0 is sent too, so that an alarm can tell nothing from no data."""

    GAUGE = "gauge"
    """The value at the flush, one for each process."""

    HISTOGRAM = "histogram"
    """Every value, counted in bounded buckets, so that percentiles survive."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it is called, how it adds up, CloudWatch's word for its unit, its meaning.

    `labels` are told only to sinks to which another label costs nothing; CloudWatch is none.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()


def _counter(name: str, description: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, "Count", description, labels)


def _gauge(name: str, description: str, unit: str = "Count") -> Metric:
    return Metric(name, Kind.GAUGE, unit, description)


def _histogram(name: str, unit: str, description: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, unit, description)


RECEIVED = _counter("Received", "Messages taken in hand; a second copy of one in hand is not.")
DELIVERED = _counter("Delivered", "Events that the destination accepted, duplicates among them.")
DUPLICATES = _counter("Duplicates", "Events known to have been accepted before; nothing ran again.")
RETRIED = _counter("Retried", "Events that could not be delivered this time; their messages stay.")
REJECTED = _counter("Rejected", "Events refused for good, before they were dead-lettered.", "code")
DEAD_LETTERED = _counter(
    "DeadLettered", "Messages whose copy is in the dead-letter queue, with the reason.", "code"
)
REDRIVEN = _counter("Redriven", "Messages that came back from the dead-letter queue.")
AMBIGUOUS = _counter(
    "Ambiguous",
    "Events that may have run and that the destination no longer remembers; a person decides.",
)
HALTED = _gauge("Halted", "1 while a misconfiguration keeps the relay from sending, else 0.")
END_TO_END_AGE = _histogram(
    "EndToEndAge",
    "Seconds",
    "From the producer's time, or the message's first, until the destination accepted the event.",
)
FORWARD_LATENCY = _histogram(
    "ForwardLatency", "Seconds", "One request to the destination, whether it succeeded or not."
)
BATCH_SIZE = _histogram("BatchSize", "Count", "Events in one request to the destination.")
IN_FLIGHT = _gauge("InFlight", "Messages in hand.")
CONCURRENCY = _gauge(
    "Concurrency", "Most requests at once for now; it follows what the destination bears."
)
VISIBILITY_EXTENSIONS = _counter(
    "VisibilityExtensions", "Leases extended, in pull mode; push mode has none to extend."
)
LATE_DELETES = _counter(
    "LateDeletes", "Deletes tried after the lease had run out; such a message may come once more."
)
CIRCUIT_STATE = _gauge(
    "CircuitState", "The way to the destination: 0 closed, 1 half-open, 2 open, 3 halted.", "None"
)
HEARTBEAT = _counter("Heartbeat", "1 a flush from every process; none means that nobody is there.")
DELIVERED_IN_SLO = _counter(
    "DeliveredInSlo", f"Events accepted within {SLO_SECONDS:g} s of the message's first sending."
)
DELIVERED_LATE = _counter("DeliveredLate", f"Events accepted later than {SLO_SECONDS:g} s.")
LEDGER_FAILURES = _counter(
    "LedgerFailures", "Steps of events that the ledger did not take; delivery goes on without it."
)
IDS_REUSED = _counter(
    "IdsReused", "Events whose id came before with another content; taken for the same event."
)
TELEMETRY_FAILURES = _counter(
    "TelemetryFailures", "Flushes and spans that their receiver did not take; delivery goes on."
)
LOG_LINES_LOST = _counter(
    "LogLinesLost",
    "Log lines that found no place to go: a full disk, or nobody who reads the pipe.",
)

METRICS = (
    RECEIVED,
    DELIVERED,
    DUPLICATES,
    RETRIED,
    REJECTED,
    DEAD_LETTERED,
    REDRIVEN,
    AMBIGUOUS,
    HALTED,
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
)
