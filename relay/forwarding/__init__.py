"""Forwarding events to a destination: batching, circuit breaker, isolation, pacing, routing."""

from relay.forwarding.circuit_breaker import ForwarderState
from relay.forwarding.forwarder import STOPPING, Forwarder

__all__ = ["STOPPING", "Forwarder", "ForwarderState"]
