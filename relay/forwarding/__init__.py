"""Forwarding events to a destination: batching, circuit breaker, isolation, pacing, routing."""

from relay.forwarding.forwarder import STOPPING, Forwarder, ForwarderState

__all__ = ["STOPPING", "Forwarder", "ForwarderState"]
