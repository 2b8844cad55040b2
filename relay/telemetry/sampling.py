"""Which messages get a line of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias
from zlib import crc32

from relay.facts import Settled
from relay.message import Delivered

Chosen: TypeAlias = Callable[[Settled], bool]

_SHARE = re.compile(r"1/([1-9][0-9]{0,8})", re.ASCII)


def chosen(written: str) -> Chosen:
    """What `all`, `problems` or `1/N` chooses; a message with a problem is chosen by each.

    One in N goes by the message's id, so that a message is told at all of its receives or at none.

    Raises:
        ValueError: it is none of the three.
    """
    if written == "all":
        return everything
    if written == "problems":
        return problem
    share = _SHARE.fullmatch(written)
    if share is None:
        raise ValueError(f"{written!r} is neither all, problems nor 1/N")
    every = int(share[1])
    return lambda s: crc32(s.message.message_id.encode()) % every == 0 or problem(s)


def everything(_settled: Settled) -> bool:
    """Yes."""
    return True


def problem(settled: Settled) -> bool:
    """Whether the message did not simply go through."""
    return not isinstance(settled.outcome, Delivered)
