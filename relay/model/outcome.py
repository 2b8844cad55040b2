"""The outcome of an event, and how the outcomes of its events become that of a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct


class Delivered(Struct, frozen=True):
    """Accepted: the destination answered a request with this event with a strict success.

    `reference` is the destination's own id for it. `duplicate` is True if the event is known to
    have been accepted before.
    """

    reference: str | None = None
    duplicate: bool = False


class Retry(Struct, frozen=True):
    """Not delivered yet. The message stays in the queue; `after` is seconds until the next try."""

    reason: str
    after: float | None = None


class Reject(Struct, frozen=True):
    """Never to be delivered. `code` is stable, `reason` is a sentence for a person.

    `may_have_run` is True if the result of an earlier attempt is unknown, so that the destination
    may have accepted the event after all. The dead letter says so.
    """

    code: str
    reason: str
    may_have_run: bool = False


Outcome: TypeAlias = Delivered | Retry | Reject


def waiting(results: Sequence[Outcome]) -> Retry | None:
    """The message's retry, after the longest delay of its events; None if no event must wait."""
    retries = [result for result in results if isinstance(result, Retry)]
    if not retries:
        return None
    delays = (retry.after for retry in retries if retry.after is not None)
    return Retry(retries[0].reason, max(delays, default=None))


def rejected(rejects: Mapping[int, Reject]) -> Reject:
    """The message's reject: that of its first rejected event, with the number of the others."""
    first = rejects[min(rejects)]
    if len(rejects) == 1:
        return first
    more = len(rejects) - 1
    return Reject(
        first.code,
        f"{first.reason} (and {more} more of its events)",
        may_have_run=any(reject.may_have_run for reject in rejects.values()),
    )


def delivered(results: Sequence[Outcome]) -> Delivered:
    """The message's success, once no event of it must wait and none was rejected."""
    accepted = [result for result in results if isinstance(result, Delivered)]
    if len(accepted) == 1:
        return accepted[0]
    return Delivered(duplicate=bool(accepted) and all(result.duplicate for result in accepted))
