"""The queues of one account: create, look up, configure, purge and delete them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relay.local.clock import Clock
from relay.local.sqs.attributes import QueueAttributes, allows_source
from relay.local.sqs.errors import SqsError, invalid, invalid_value, no_queue
from relay.local.sqs.queue import IN_FLIGHT_LIMIT, Queue

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NAME_LENGTH = 80
_FIFO_SUFFIX = ".fifo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that a test may change. Pauses are in seconds.

    `in_flight` is the most messages in flight in a queue. `purge_pause` is between two purges of a
    queue; 0 suits a test suite that purges between its tests. `recreate_pause` is until the name
    of a deleted queue is free, which takes 60 on AWS.
    """

    in_flight: int = IN_FLIGHT_LIMIT
    purge_pause: float = 60.0
    recreate_pause: float = 0.0


DEFAULTS = Limits()


class Account:
    """Queues by name. `url` is the server's base URL, without a trailing slash."""

    def __init__(
        self, account: str, region: str, *, clock: Clock, limits: Limits = DEFAULTS
    ) -> None:
        self.id, self.region, self.clock = account, region, clock
        self.url = ""
        self.queues: dict[str, Queue] = {}
        self._limits = limits
        self._deleted_at: dict[str, float] = {}

    def url_of(self, queue: Queue, base_url: str | None = None) -> str:
        """The queue's URL, under the base URL that a client uses or the server's own."""
        return f"{base_url or self.url}/{self.id}/{queue.name}"

    def by_url(self, url: str) -> Queue:
        """The queue of a URL or of a bare name; host and account are ignored."""
        return self.by_name(url.rstrip("/").rpartition("/")[2])

    def by_name(self, name: str) -> Queue:
        """The queue of this name.

        Raises:
            SqsError: QueueDoesNotExist.
        """
        queue = self.queues.get(name)
        if queue is None:
            raise no_queue()
        return queue

    def by_arn(self, arn: str) -> Queue | None:
        """The queue of this ARN, or None."""
        queue = self.queues.get(arn.rpartition(":")[2])
        return queue if queue is not None and queue.arn == arn else None

    def create(self, name: str, wanted: Mapping[str, str], tags: Mapping[str, str]) -> Queue:
        """Create a queue, or return the existing one if its attributes are the same.

        Raises:
            SqsError: QueueNameExists if its attributes differ, QueueDeletedRecently, or for a bad
                name or attribute.
        """
        existing = self.queues.get(name)
        if existing is not None:
            return _same(existing, wanted)
        self._check_deleted(name)
        fifo = wanted.get("FifoQueue", "").lower() == "true"
        _check_name(name, fifo=fifo)
        arn = f"arn:aws:sqs:{self.region}:{self.id}:{name}"
        attributes = QueueAttributes(fifo=fifo)
        attributes.update(wanted)
        self._check_redrive(attributes, arn)
        queue = Queue(
            name,
            arn,
            attributes,
            clock=self.clock,
            find=self.by_arn,
            in_flight_limit=self._limits.in_flight,
        )
        queue.tags.update(tags)
        self.queues[name] = queue
        return queue

    def configure(self, queue: Queue, wanted: Mapping[str, str]) -> None:
        """Change a queue's attributes, all or none.

        Raises:
            SqsError: for the first one that SQS would reject.
        """
        trial = QueueAttributes(fifo=queue.fifo)
        trial.values = dict(queue.attributes.values)
        trial.update(wanted)
        if wanted.get("RedrivePolicy"):
            self._check_redrive(trial, queue.arn)
        queue.attributes.update(wanted)
        queue.configured()

    def delete(self, queue: Queue) -> None:
        """Delete a queue with its messages."""
        del self.queues[queue.name]
        self._deleted_at[queue.name] = self.clock.time()
        queue.close()

    def purge(self, queue: Queue) -> None:
        """Delete all messages, those in flight too; a queue is purged at most once a minute."""
        now = self.clock.time()
        if queue.purged_at is not None and now - queue.purged_at < self._limits.purge_pause:
            raise SqsError(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
            )
        queue.purged_at = now
        queue.clear()

    def sources_of(self, queue: Queue) -> list[Queue]:
        """The queues whose redrive policy names this one."""
        return [
            other
            for other in self.queues.values()
            if other.attributes.redrive and other.attributes.redrive.target == queue.arn
        ]

    def _check_deleted(self, name: str) -> None:
        deleted_at = self._deleted_at.pop(name, None)
        if deleted_at is None or self.clock.time() - deleted_at >= self._limits.recreate_pause:
            return
        self._deleted_at[name] = deleted_at
        raise SqsError(
            "QueueDeletedRecently",
            "You must wait 60 seconds after deleting a queue before you can create another with "
            "the same name.",
        )

    def _check_redrive(self, attributes: QueueAttributes, arn: str) -> None:
        if attributes.redrive is None:
            return
        target = self.by_arn(attributes.redrive.target)
        policy = attributes.values["RedrivePolicy"]
        if target is None:
            raise invalid_value("RedrivePolicy", policy, "Dead letter target does not exist.")
        if target.fifo is not attributes.fifo:
            raise invalid_value(
                "RedrivePolicy",
                policy,
                "Dead-letter queue must be same type of queue as the source.",
            )
        if not allows_source(target.attributes.values.get("RedriveAllowPolicy"), arn):
            raise invalid_value(
                "RedrivePolicy", policy, "Queue is not allowed to use this dead-letter queue."
            )


def _same(queue: Queue, wanted: Mapping[str, str]) -> Queue:
    trial = QueueAttributes(fifo=queue.fifo)
    trial.values = dict(queue.attributes.values)
    trial.update({name: value for name, value in wanted.items() if name != "FifoQueue"})
    for name in wanted:
        if trial.values.get(name) != queue.attributes.values.get(name) and name != "FifoQueue":
            raise SqsError(
                "QueueNameExists",
                "A queue already exists with the same name and a different value for "
                f"attribute {name}",
            )
    if wanted.get("FifoQueue", str(queue.fifo)).lower() != str(queue.fifo).lower():
        raise SqsError(
            "QueueNameExists",
            "A queue already exists with the same name and a different value for "
            "attribute FifoQueue",
        )
    return queue


def _check_name(name: str, *, fifo: bool) -> None:
    stem = name.removesuffix(_FIFO_SUFFIX) if fifo else name
    if fifo and stem == name:
        raise invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, "
            "or underscores, must end with .fifo suffix and be 1 to 80 in length."
        )
    if not _NAME.fullmatch(stem) or len(name) > _NAME_LENGTH:
        raise invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
