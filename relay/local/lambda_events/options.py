"""The options of an SQS event source, with the ranges that AWS documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LARGEST_BATCH = 10_000
LARGEST_FIFO_BATCH = 10
LARGEST_WITHOUT_WINDOW = 10
LONGEST_WINDOW = 300
MOST_CONCURRENT = 1_000
LEAST_CONCURRENT = 2
MOST_POLLERS = 2_000
INVOKES_PER_POLLER = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSourceOptions:
    """Named as in `CreateEventSourceMapping`; times are whole seconds.

    Sources: Lambda Developer Guide, "Lambda parameters for Amazon SQS event source mappings" and
    "Configuring scaling behavior for SQS event source mappings".

    Attributes:
        batch_size: the most messages of one invocation: 10,000, on a FIFO queue 10. Above 10 a
            batching window of at least a second is required.
        batching_window: seconds in which a batch is gathered; 0 to 300, not on a FIFO queue.
        report_batch_item_failures: whether a response may name the messages that failed. Without
            it, every response that is no error deletes the whole batch.
        maximum_concurrency: the most invocations at a time, 2 to 1,000; None for 1,000.
        provisioned_pollers: the fewest and the most pollers of the provisioned mode, with ten
            invocations each; not together with `maximum_concurrency`.
    """

    batch_size: int = 10
    batching_window: int = 0
    report_batch_item_failures: bool = True
    maximum_concurrency: int | None = None
    provisioned_pollers: tuple[int, int] | None = None

    @property
    def most_concurrent(self) -> int:
        """The most batches that are processed at a time."""
        if self.provisioned_pollers is not None:
            return self.provisioned_pollers[1] * INVOKES_PER_POLLER
        return self.maximum_concurrency or MOST_CONCURRENT

    def problems(
        self, *, fifo: bool, function_timeout: float, visibility_timeout: float
    ) -> list[str]:
        """Why AWS would refuse to create the event source; empty if it would not."""
        found = [*self._sizes(fifo=fifo), *self._concurrency()]
        if function_timeout > visibility_timeout:
            # "Creating and configuring an Amazon SQS event source mapping", note.
            found.append(
                f"the queue's visibility timeout, {visibility_timeout:g} s, is less than the"
                f" function's timeout, {function_timeout:g} s"
            )
        return found

    def _sizes(self, *, fifo: bool) -> Iterator[str]:
        most = LARGEST_FIFO_BATCH if fifo else LARGEST_BATCH
        if not 1 <= self.batch_size <= most:
            yield f"batch_size is {self.batch_size}, not 1 to {most}"
        if not 0 <= self.batching_window <= LONGEST_WINDOW:
            yield f"batching_window is {self.batching_window}, not 0 to {LONGEST_WINDOW}"
        if fifo and self.batching_window:
            yield "a FIFO queue has no batching window"
        if not fifo and self.batch_size > LARGEST_WITHOUT_WINDOW and not self.batching_window:
            yield "a batch_size above 10 needs a batching_window of at least 1"

    def _concurrency(self) -> Iterator[str]:
        most = self.maximum_concurrency
        if most is not None and not LEAST_CONCURRENT <= most <= MOST_CONCURRENT:
            yield f"maximum_concurrency is {most}, not {LEAST_CONCURRENT} to {MOST_CONCURRENT}"
        if self.provisioned_pollers is None:
            return
        if most is not None:
            yield "provisioned_pollers and maximum_concurrency exclude each other"
        low, high = self.provisioned_pollers
        if not 1 <= low <= high <= MOST_POLLERS:
            yield f"provisioned_pollers are {low} to {high}, not within 1 to {MOST_POLLERS}"
