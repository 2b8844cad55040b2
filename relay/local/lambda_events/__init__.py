"""A local Lambda: an SQS event source, and a function whose handler runs in child processes."""

from relay.local.lambda_events.event_source import Counters, EventSource
from relay.local.lambda_events.faults import Fault, FaultScript
from relay.local.lambda_events.function import Answer, Function, FunctionError, Throttled
from relay.local.lambda_events.options import EventSourceOptions

__all__ = [
    "Answer",
    "Counters",
    "EventSource",
    "EventSourceOptions",
    "Fault",
    "FaultScript",
    "Function",
    "FunctionError",
    "Throttled",
]
