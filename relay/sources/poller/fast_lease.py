"""A message in flight that has no task: its handling and then its delete end with calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from msgspec import Struct

from relay.aws.sqs_values import Failed
from relay.delivery.fast_path import Rest, raising
from relay.model.outcome import Outcome
from relay.sources.poller.lease import Lease
from relay.sources.poller.settling import Settler


class Started(Protocol):
    """Where the message was started. `left` is True once nothing is settled there any more."""

    left: bool

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Run the work in a task."""
        ...

    def end(self, lease: Lease, outcome: Outcome | None) -> Sequence[Lease]:
        """End the handling. Returns the messages to release before this one is settled."""
        ...

    async def deliver(self, lease: Lease, rest: Rest | None = None) -> None:
        """Handle and settle the message."""
        ...

    async def finish(self, lease: Lease, outcome: Outcome | None, later: Sequence[Lease]) -> None:
        """Settle the message."""
        ...

    def remove(self, lease: Lease) -> None:
        """Forget the message: it is settled."""
        ...


class FastLease(Struct, eq=False):
    """The caller of a `FastDelivery`, and what gets the result of the delete that follows.

    Whatever is not a plain success goes on in a task.
    """

    started: Started
    settler: Settler
    lease: Lease
    handle: str = ""

    def finished(self, outcome: Outcome) -> None:
        """The message was delivered: delete it."""
        if self.started.left:
            return
        lease = self.lease
        later = self.started.end(lease, outcome)
        self.handle = lease.handle
        if later or not self.settler.begin_delete(lease, self):
            self.started.run(self.started.finish(lease, outcome, later))

    def proceed(self, rest: Rest) -> None:
        """The message leaves the fast path."""
        if not self.started.left:
            self.started.run(self.started.deliver(self.lease, rest))

    def done(self) -> bool:
        """Whether the result of the delete is not wanted: it always is."""
        return False

    def set_result(self, failed: Failed | None) -> None:
        """The result of the delete."""
        lease = self.lease
        if failed is None and lease.handle == self.handle and not lease.old_handles:
            self.started.remove(lease)
        elif not self.started.left:
            self.started.run(self._delete_again(failed))

    def set_exception(self, error: BaseException) -> None:
        """The delete raised, which is an error of ours: the poller fails."""
        if not self.started.left:
            self.started.run(raising(error))

    def cancel(self) -> None:
        """There will be no result: the poller ends, and releases the message."""

    async def _delete_again(self, failed: Failed | None) -> None:
        self.lease.task = asyncio.current_task()
        await self.settler.delete(self.lease, (self.handle, failed))
        self.started.remove(self.lease)
