"""The forwarder: batches, holds, probes and isolates, and gives each event its own outcome."""

from relay.forwarding.forwarder import STOPPING, Forwarder, ForwarderState

__all__ = ["STOPPING", "Forwarder", "ForwarderState"]
