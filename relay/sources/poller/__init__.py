"""The poller: an SQS consumer with leases, settling, FIFO groups and a two-phase stop."""

from relay.sources.poller.poller import Limits, Poller, PollerStatus
from relay.sources.poller.receive_gate import Gate

__all__ = ["Gate", "Limits", "Poller", "PollerStatus"]
