"""What every action gets besides its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from relay.local.sqs.account import Account
from relay.local.sqs.faults import Fault
from relay.local.sqs.moves import MoveTasks
from relay.local.sqs.queue import Queue


@dataclass(frozen=True, slots=True)
class Call:
    """One request in hand: whose queues it is about, and what is to go wrong with it."""

    account: Account
    moves: MoveTasks
    fault: Fault

    def queue(self, url: str) -> Queue:
        """The queue of this URL, or QueueDoesNotExist."""
        return self.account.by_url(url)
