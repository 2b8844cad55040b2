"""Pull mode: an SQS consumer with leases, settling, FIFO groups and a two-phase stop."""

from relay.poller.intake import Way
from relay.poller.poller import Limits, Poller, PollerStatus

__all__ = ["Limits", "Poller", "PollerStatus", "Way"]
