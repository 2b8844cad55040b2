"""Readdressing: a letter as the message that brings it back, everything it carried preserved."""

from __future__ import annotations

import hashlib

from relay.aws.values import Outgoing
from relay.dead_letter import MAX_BYTES, DeadLetter, TooLarge, dead_letter
from relay.dlq.letter import Letter
from relay.dlq.stays import Stays
from relay.message import Message
from relay.origin import ATTRIBUTE, Origin


def readdress(letter: Letter, *, fifo: bool, run: str, max_bytes: int) -> Outgoing | Stays:
    """The message to send: body, attributes, group and trace header as they were.

    What the letter's ids hang on goes along in our one attribute. Where that finds no place, the
    letter goes without it if its ids do not need it, and stays if they do: losing one of ten
    attributes, or an id, is for a person to decide.

    Args:
        letter: what to bring back.
        fifo: whether the queue that it goes to is a FIFO queue.
        run: id of the run. With it in the deduplication id SQS swallows nothing but what this very
            run sent before.
        max_bytes: the most that the queue takes.
    """
    dedup_id = _dedup(letter, run) if fifo else None
    as_it_is = _as_it_is(letter.message, dedup_id)
    past = letter.past
    if past is None or (letter.noted and not letter.altered and not letter.moved):
        fits = max_bytes >= MAX_BYTES or as_it_is.size <= max_bytes
        return as_it_is if fits else _no_room(letter, as_it_is, max_bytes)
    copy = _copy(letter.message, past, max_bytes)
    if copy is not None:
        return _outgoing(copy, letter.message, dedup_id)
    if letter.altered or letter.rootless or as_it_is.size > max_bytes:
        return _no_room(letter, as_it_is, max_bytes)
    return as_it_is


def _copy(message: Message, past: Origin, max_bytes: int) -> DeadLetter | None:
    """The message with its past noted; None where something would be lost for it."""
    try:
        copy = dead_letter(message, past, max_bytes)
    except TooLarge:
        return None
    others = {name for name in message.attributes if name.casefold() != ATTRIBUTE}
    return copy if others <= set(copy.attributes) else None


def _outgoing(copy: DeadLetter, message: Message, dedup_id: str | None) -> Outgoing:
    return Outgoing(
        body=copy.body,
        attributes=copy.attributes,
        group_id=_group(message, dedup_id),
        dedup_id=dedup_id,
        trace_header=message.trace_header,
    )


def _as_it_is(message: Message, dedup_id: str | None) -> Outgoing:
    return Outgoing(
        body=message.body.decode("utf-8", "surrogatepass"),
        attributes=message.attributes,
        group_id=_group(message, dedup_id),
        dedup_id=dedup_id,
        trace_header=message.trace_header,
    )


def _group(message: Message, dedup_id: str | None) -> str | None:
    # Where no group is known, no order is known that could be kept.
    return message.group_id or dedup_id


def _dedup(letter: Letter, run: str) -> str:
    key = f"{run}\n{letter.message.message_id}\n{letter.hops}"
    return hashlib.sha256(key.encode()).hexdigest()


def _no_room(letter: Letter, as_it_is: Outgoing, max_bytes: int) -> Stays:
    if as_it_is.size > max_bytes:
        return Stays("no_room", f"the queue takes no more than {max_bytes} bytes")
    what = "its attributes are ten" if len(letter.message.attributes) >= 10 else "it is as large"  # noqa: PLR2004 - SQS's quota
    return Stays(
        "no_room",
        f"{what} as SQS allows, and its ids would change without our attribute: bring it back"
        " with --straight, which needs no room",
    )
