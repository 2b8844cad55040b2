"""What must hold between the two queues, the settings and the destination."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from relay.aws.sqs_values import QueueAttributes
from relay.ops.doctor.result import CheckResult, duration, ok, rule, size

FULL_SIZE = 1_048_576
"""AWS quota since August 2025. A queue made before keeps its 256 KiB until it is set."""

SHORTEST_LEASE = 60.0
LONGEST_LEASE = 1_800.0
"""Seconds of a queue's own visibility timeout that make sense for `relay poll`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueExpectations:
    """What the settings say about the queues. Durations are seconds, sizes bytes.

    `longest_answer` is the latest answer to a push, `pull` says that `relay poll` receives.
    """

    pull: bool
    max_receive_count: int
    queue_retention: float
    dlq_retention: float
    longest_answer: float
    max_event_bytes: int


def check_queue(main: QueueAttributes, intended: QueueExpectations) -> Iterator[CheckResult]:
    """The main queue by itself."""
    yield _retention(main, intended)
    yield _visibility(main, intended)
    yield _size("queue", main.maximum_size)
    yield rule(
        "queue.event-size",
        f"messages up to {size(main.maximum_size)}, events up to {size(intended.max_event_bytes)}",
        holds=main.maximum_size <= intended.max_event_bytes,
        why="the queue takes messages that the relay then rejects as too large",
        fix=f"raise RELAY_MAX_EVENT_BYTES to {main.maximum_size} if the destination takes as much,"
        " else lower the queue's MaximumMessageSize, so that the producer is told",
        otherwise="warn",
    )
    if not intended.pull:
        yield rule(
            "queue.mode",
            "FIFO" if main.fifo else "standard",
            holds=not main.fifo,
            why="sqsd keeps no order within a message group",
            fix="use `relay poll` for a FIFO queue (and `relay doctor --pull`)",
            otherwise="warn",
        )


def check_dead_letter_queue(
    dead: QueueAttributes, intended: QueueExpectations
) -> Iterator[CheckResult]:
    """The dead-letter queue by itself."""
    yield rule(
        "dlq.retention",
        f"{duration(dead.retention)}, the settings say {duration(intended.dlq_retention)}",
        holds=dead.retention == intended.dlq_retention,
        why="the ledger remembers for as long as the settings say that a dead letter can come back",
        fix=f"set its MessageRetentionPeriod to {intended.dlq_retention:.0f}, or"
        f" RELAY_DLQ_RETENTION to {dead.retention:.0f}",
        otherwise="warn",
    )
    yield _size("dlq", dead.maximum_size)
    yield rule(
        "dlq.redrive-policy",
        "none of its own" if dead.redrive is None else f"on to {dead.redrive.target_arn}",
        holds=dead.redrive is None,
        why="looking at a dead letter counts as a receive and would move it on",
        fix="remove the redrive policy of the dead-letter queue",
        otherwise="warn",
    )


def check_queue_pair(
    main: QueueAttributes, dead: QueueAttributes, intended: QueueExpectations
) -> Iterator[CheckResult]:
    """The two queues together."""
    yield rule(
        "dlq.type",
        f"{_type(main)} queue, {_type(dead)} dead-letter queue",
        holds=main.fifo == dead.fifo,
        why="SQS moves nothing between queues of different types, and copies lose their order",
        fix="make a dead-letter queue of the queue's type",
    )
    yield rule(
        "dlq.separate",
        dead.arn,
        holds=main.arn != dead.arn,
        why="a rejected message would come again, under the same id, for ever",
        fix="make a queue of its own for dead letters",
    )
    yield rule(
        "dlq.size",
        f"{size(dead.maximum_size)}, the queue {size(main.maximum_size)}",
        holds=dead.maximum_size >= main.maximum_size,
        why="a dead letter that does not fit is replaced by a stand-in, or stays where it is",
        fix=f"set the dead-letter queue's MaximumMessageSize to {FULL_SIZE}",
    )
    yield _redrive(main, dead, intended)
    yield _allowed(main, dead)


def _retention(main: QueueAttributes, intended: QueueExpectations) -> CheckResult:
    if intended.pull:
        return ok("queue.retention", f"{duration(main.retention)}, which `relay poll` goes by")
    shorter = main.retention < intended.queue_retention
    return rule(
        "queue.retention",
        f"{duration(main.retention)}, the settings say {duration(intended.queue_retention)}",
        holds=main.retention == intended.queue_retention,
        why="SQS deletes messages before the relay thinks that it is time to save them"
        if shorter
        else "the relay gives messages up earlier than it has to",
        fix=f"set its MessageRetentionPeriod to {intended.queue_retention:.0f}, or"
        f" RELAY_QUEUE_RETENTION to {main.retention:.0f}",
        otherwise="fail" if shorter else "warn",
    )


def _visibility(main: QueueAttributes, intended: QueueExpectations) -> CheckResult:
    found = duration(main.visibility)
    if intended.pull:
        return rule(
            "queue.visibility",
            found,
            holds=SHORTEST_LEASE <= main.visibility <= LONGEST_LEASE,
            why="`relay poll` extends at half of it: too short, and a pause of seconds delivers"
            " twice; too long, and what a crashed relay held stays locked",
            fix="set the queue's VisibilityTimeout to a few minutes",
            otherwise="warn",
        )
    return rule(
        "queue.visibility",
        f"{found}, a request is held up to {duration(intended.longest_answer)}",
        holds=main.visibility > intended.longest_answer,
        why="sqsd asks for its own at each receive; whoever receives without one gets this, and"
        " the message comes again while it is in hand",
        fix=f"set the queue's VisibilityTimeout above {intended.longest_answer:.0f}",
        otherwise="warn",
    )


def _size(which: str, real: int) -> CheckResult:
    return rule(
        f"{which}.maximum-size",
        size(real),
        holds=real >= FULL_SIZE,
        why="queues made before August 2025 keep 256 KiB; larger messages are refused, our notes"
        " on a dead letter count too",
        fix=f"set its MaximumMessageSize to {FULL_SIZE}",
        otherwise="warn",
    )


def _redrive(
    main: QueueAttributes, dead: QueueAttributes, intended: QueueExpectations
) -> CheckResult:
    policy = main.redrive
    if policy is None:
        found, right = "the queue has none", False
    elif policy.target_arn != dead.arn:
        found, right = f"it leads to {policy.target_arn}, RELAY_DLQ_URL to {dead.arn}", False
    else:
        found = (
            f"after {policy.max_receive_count} receives, the settings say"
            f" {intended.max_receive_count}"
        )
        right = policy.max_receive_count == intended.max_receive_count
    return rule(
        "queue.redrive-policy",
        found,
        holds=right,
        why="it is the backstop for messages with which the relay itself crashes, and the relay"
        " counts on its number",
        fix="set the queue's RedrivePolicy to "
        + json.dumps(
            {"deadLetterTargetArn": dead.arn, "maxReceiveCount": intended.max_receive_count}
        ),
        otherwise="warn",
    )


def _allowed(main: QueueAttributes, dead: QueueAttributes) -> CheckResult:
    policy = json.loads(dead.raw.get("RedriveAllowPolicy") or "{}")
    permission = policy.get("redrivePermission", "allowAll")
    named = main.arn in policy.get("sourceQueueArns", ())
    return rule(
        "dlq.allow-policy",
        permission,
        holds=permission == "allowAll" or (permission == "byQueue" and named),
        why="SQS refuses to move this queue's messages there",
        fix=f"add {main.arn} to sourceQueueArns in the dead-letter queue's RedriveAllowPolicy",
    )


def _type(queue: QueueAttributes) -> str:
    return "FIFO" if queue.fifo else "standard"
