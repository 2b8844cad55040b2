"""The poller: an SQS consumer with leases, settling, FIFO groups and a two-phase stop."""

from relay.sources.poller.limits import Limits, PollerStatus
from relay.sources.poller.poller import Poller
from relay.sources.poller.receive_gate import Gate

__all__ = ["Gate", "Limits", "Poller", "PollerStatus"]
