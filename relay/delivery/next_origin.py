"""The origin of a dead letter: what the message has already, and one more hop with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from relay.model.message import Message
from relay.model.origin import Origin, origin_or_substitute
from relay.model.outcome import Reject

if TYPE_CHECKING:  # `relay.consumer` decodes nothing and must not pay for the import
    from relay.envelope import Decoded


def next_origin(
    message: Message,
    reject: Reject,
    decoded: Decoded | None = None,
    pending: tuple[int, ...] | None = None,
) -> Origin:
    """The origin of the message's next dead letter.

    Args:
        message: as it was received.
        reject: why it is dead-lettered.
        decoded: its events, None if they are not known.
        pending: the positions of the events that are still to be delivered; None for all.
    """
    origin = origin_or_substitute(message) or Origin(
        id=message.message_id,
        undecoded=True,
        sent_at=message.sent_at,
        source=message.queue,
        task=(message.task.name, message.task.scheduled_at) if message.task else None,
    )
    return replace(
        origin,
        id=decoded.base_id if decoded and origin.undecoded else origin.id,
        undecoded=origin.undecoded and decoded is None,
        pending=pending if decoded else origin.pending,
        hops=origin.hops + 1,
        code=reject.code,
        reason=reject.reason,
        may_have_run=origin.may_have_run or reject.may_have_run,
    )
