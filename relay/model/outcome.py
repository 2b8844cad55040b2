"""The outcome of an event, and of a message from those of its events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

MAX_REASON = 1_000
"""Characters of a reason. Some reasons quote what a producer or a server sent, which may be a
megabyte, and reasons are kept: for `/ready`, in samples, in dead letters."""

MAX_CODE = 100
"""Characters of a code."""

REFUSED = "refused_by_destination"
TOO_LARGE = "too_large_for_destination"
"""The codes of events that a destination refuses for good, for their size or for another reason."""


def shortened(text: str, most: int = MAX_REASON) -> str:
    """The text, cut to at most so many characters; an ellipsis shows that some are missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Delivered(Struct, frozen=True):
    """Accepted: the destination said so strictly, for a request that contained the event.

    `reference` is the destination's own name for it. `duplicate` is True where it was known to have
    been accepted before.
    """

    reference: str | None = None
    duplicate: bool = False


class Retry(Struct, frozen=True):
    """Not now. The message stays in the queue and becomes visible again.

    `after` is in seconds; without it the pause grows with each receive. A message is visible again
    sooner if SQS would not hide it for so long (its limit is 12 hours), and before 90 % of its
    queue's retention are over. A long reason is shortened.

    Raises:
        ValueError: `after` is negative, infinite or not a number.
    """

    reason: str = "the handler asked for a retry"
    after: float | None = None

    def __post_init__(self) -> None:
        if self.after is not None and not 0 <= self.after < math.inf:
            raise ValueError(f"Retry(after={self.after!r}): give the seconds to wait, 0 or more")
        if len(self.reason) > MAX_REASON:
            force_setattr(self, "reason", shortened(self.reason))


class Reject(Struct, frozen=True):
    """Never. `code` is stable and for machines, `reason` is a sentence for a person.

    Both are shortened if they are long. `may_have_run` is True where an earlier attempt had an
    unknown end, so that the destination may hold the event all the same; the dead letter says so.
    """

    code: str
    reason: str
    may_have_run: bool = False

    def __post_init__(self) -> None:
        if len(self.reason) > MAX_REASON or len(self.code) > MAX_CODE:
            force_setattr(self, "reason", shortened(self.reason))
            force_setattr(self, "code", shortened(self.code, MAX_CODE))


Outcome: TypeAlias = Delivered | Retry | Reject


def combined_retry(results: Sequence[Outcome]) -> Retry | None:
    """The message's wait while any event must wait, for the longest time asked for."""
    found = [result for result in results if isinstance(result, Retry)]
    if not found:
        return None
    asked = (retry.after for retry in found if retry.after is not None)
    return Retry(found[0].reason, max(asked, default=None))


def combined_reject(rejects: Mapping[int, Reject]) -> Reject:
    """One reject for the message: that of its first event, saying how many there are."""
    first = rejects[min(rejects)]
    if len(rejects) == 1:
        return first
    others = f" (and {len(rejects) - 1} more of its events)"
    return Reject(
        first.code,
        shortened(first.reason, MAX_REASON - len(others)) + others,
        may_have_run=any(reject.may_have_run for reject in rejects.values()),
    )


def combined_delivery(results: Sequence[Outcome]) -> Delivered:
    """The message's acceptance once nothing of it waits or was rejected."""
    accepted = [result for result in results if isinstance(result, Delivered)]
    if len(accepted) == 1:
        return accepted[0]
    return Delivered(duplicate=bool(accepted) and all(result.duplicate for result in accepted))
