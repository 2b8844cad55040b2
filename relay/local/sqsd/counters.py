"""What the daemon has done, for those who compare it with what they saw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What the daemon has done so far.

    Attributes:
        received: messages that receives brought.
        posted: requests written to the application, those made again included.
        reposted: requests that were made again because their connection closed.
        deleted: messages that SQS says are deleted, expired ones included.
        returned: messages given back with the ErrorVisibilityTimeout.
        locked: messages left to their visibility timeout after a silent answer.
        expired: messages that were past the RetentionPeriod, and never posted.
    """

    received: int = 0
    posted: int = 0
    reposted: int = 0
    deleted: int = 0
    returned: int = 0
    locked: int = 0
    expired: int = 0
