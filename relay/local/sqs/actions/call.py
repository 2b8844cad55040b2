"""The context of a request, and batches: up to ten entries that succeed or fail on their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from relay.local.sqs.account import Account
from relay.local.sqs.errors import SqsError
from relay.local.sqs.faults import Fault
from relay.local.sqs.moves import MoveTasks
from relay.local.sqs.queue import Queue

MAX_ENTRIES = 10
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Call:
    """The context of a request: the account, its move tasks, the fault to apply, and headers.

    `base_url` is the server as the client addressed it, by default as the server knows itself.
    `trace_header` is the header `X-Amzn-Trace-Id`.
    """

    account: Account
    moves: MoveTasks
    fault: Fault
    base_url: str | None = None
    trace_header: str | None = None

    def queue(self, url: str) -> Queue:
        """The queue of this URL.

        Raises:
            SqsError: QueueDoesNotExist.
        """
        return self.account.by_url(url)

    def url_of(self, queue: Queue) -> str:
        """The URL by which this client can reach a queue."""
        return self.account.url_of(queue, self.base_url)


class Entry(Protocol):
    """What all batch entries have."""

    id: str


E = TypeVar("E", bound=Entry)


def run_batch(
    call: Call, entries: Sequence[E], act: Callable[[E], dict[str, Any] | None]
) -> dict[str, Any]:
    """Run `act` on each entry in order; an error fails that entry only.

    Raises:
        SqsError: the batch as a whole is malformed; then nothing was done.
    """
    _check([entry.id for entry in entries])
    successful: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        if index in call.fault.entries:
            failed.append(_scripted(call, entry.id, call.fault.entries[index]))
            continue
        try:
            successful.append({"Id": entry.id, **(act(entry) or {})})
        except SqsError as error:
            failed.append(_failure(entry.id, error))
    answer = {"Successful": successful, "Failed": failed}
    return {name: entries for name, entries in answer.items() if entries}


def _check(ids: list[str]) -> None:
    if not ids:
        raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(ids) > MAX_ENTRIES:
        raise SqsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are 10. You have sent {len(ids)}.",
        )
    for identifier in ids:
        if not _ID.fullmatch(identifier):
            raise SqsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and "
                "underscores. It can be at most 80 letters long.",
            )
    if len(set(ids)) < len(ids):
        repeated = next(i for i in ids if ids.count(i) > 1)
        raise SqsError("BatchEntryIdsNotDistinct", f"Id {repeated} repeated.")


def _failure(identifier: str, error: SqsError) -> dict[str, Any]:
    return {
        "Id": identifier,
        "SenderFault": error.sender_fault,
        "Code": error.query_code,
        "Message": error.message,
    }


def _scripted(call: Call, identifier: str, code: str) -> dict[str, Any]:
    return {
        "Id": identifier,
        "SenderFault": call.fault.sender_fault,
        "Code": code,
        "Message": "This error was injected by a fault.",
    }
