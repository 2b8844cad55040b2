"""Batches of SQS: how many entries fit one call, and which result belongs to which entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from relay.aws.values import Failed, Outgoing

BATCH_ENTRIES = 10
BATCH_BYTES = 1_048_576
"""AWS quota for one message and for all of a batch, since August 2025."""

_PLACES = {str(place): place for place in range(BATCH_ENTRIES)}

T = TypeVar("T")
R = TypeVar("R")


def tens(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in order, at most ten at a time."""
    for start in range(0, len(items), BATCH_ENTRIES):
        yield items[start : start + BATCH_ENTRIES]


def by_size(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """The messages in order, in batches that SQS takes; one too big for any goes alone."""
    batch: list[Outgoing] = []
    total = 0
    for message in messages:
        size = message.size
        if batch and (len(batch) == BATCH_ENTRIES or total + size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(message)
        total += size
    if batch:
        yield batch


def sort_out(
    answer: Mapping[str, Any], count: int, read: Callable[[Mapping[str, Any]], R]
) -> list[R | Failed]:
    """Each entry's own result by its index. An entry that the answer forgot has failed."""
    results: dict[int, R | Failed] = {}
    for raw in answer.get("Successful") or ():
        results[_place(raw)] = read(raw)
    for raw in answer.get("Failed") or ():
        code, fault = str(raw.get("Code", "Unknown")), bool(raw.get("SenderFault"))
        results[_place(raw)] = Failed(code, str(raw.get("Message") or code), fault)
    forgotten = Failed("Unanswered", "SQS answered nothing for it")
    return [results.get(place, forgotten) for place in range(count)]


def _place(raw: Mapping[str, Any]) -> int:
    """Which entry a result belongs to; -1 where to none of ours."""
    return _PLACES.get(raw.get("Id", ""), -1)
