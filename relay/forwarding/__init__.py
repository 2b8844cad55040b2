"""Forwarding events to a destination: batching, circuit breaker, isolation, pacing, routing."""

from relay.forwarding.forwarder import STOPPING, Forwarder
from relay.forwarding.state import ForwarderState

__all__ = ["STOPPING", "Forwarder", "ForwarderState"]
