"""Check the attributes of the two queues against each other and against the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from relay.aws.sqs_values import QueueAttributes
from relay.delivery.retention import RATE, last_tenth, retention_for
from relay.ops.doctor.result import CheckResult, duration, ok, rule, size

MAX_MESSAGE_SIZE = 1_048_576
"""AWS quota since August 2025. Queues created earlier keep 256 KiB until it is changed."""

MAX_RETENTION = 1_209_600
"""Amazon SQS quota: seconds."""

MIN_POLL_VISIBILITY = 60.0
MAX_POLL_VISIBILITY = 1_800.0
"""Seconds. The range of the queue's visibility timeout that works well with `relay poll`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueExpectations:
    """The values in the settings that the queues must match. Durations in seconds, sizes in bytes.

    `longest_answer` is the longest time until the relay answers a push request, `longest_hidden`
    the longest time for which sqsd hides a message that nobody has (its VisibilityTimeout and
    ErrorVisibilityTimeout), `turn` the seconds of an outage after which sqsd posts one message more
    (0 in pull mode); `pull` is whether `relay poll` receives the messages.
    """

    pull: bool
    max_receive_count: int
    queue_retention: float
    dlq_retention: float
    longest_answer: float
    longest_hidden: float
    turn: float
    max_event_bytes: int


def check_queue(main: QueueAttributes, expected: QueueExpectations) -> Iterator[CheckResult]:
    """Check the main queue."""
    yield _retention(main, expected)
    yield _backlog(main, expected)
    if not expected.pull:
        yield _hidden(main, expected)
    yield _visibility(main, expected)
    yield _size("queue", main.maximum_size)
    yield rule(
        "queue.event-size",
        f"messages up to {size(main.maximum_size)}, events up to {size(expected.max_event_bytes)}",
        holds=main.maximum_size <= expected.max_event_bytes,
        why="the queue accepts messages that the relay then rejects as too large",
        fix=f"raise RELAY_MAX_EVENT_BYTES to {main.maximum_size} if the destination accepts that"
        " size; otherwise lower the queue's MaximumMessageSize, so that the producer gets the"
        " error",
        otherwise="warn",
    )
    if not expected.pull:
        yield rule(
            "queue.mode",
            "FIFO" if main.fifo else "standard",
            holds=not main.fifo,
            why="sqsd does not preserve the order within a message group",
            fix="use `relay poll` for a FIFO queue, and check it with `relay doctor --pull`",
            otherwise="warn",
        )


def check_dead_letter_queue(
    dead: QueueAttributes, expected: QueueExpectations
) -> Iterator[CheckResult]:
    """Check the dead-letter queue."""
    yield rule(
        "dlq.retention",
        f"{duration(dead.retention)}, RELAY_DLQ_RETENTION is {duration(expected.dlq_retention)}",
        holds=dead.retention == expected.dlq_retention,
        why="ledger entries expire after RELAY_DLQ_RETENTION, as a dead letter can be redriven"
        " until then",
        fix=f"set its MessageRetentionPeriod to {expected.dlq_retention:.0f}, or"
        f" RELAY_DLQ_RETENTION to {dead.retention:.0f}",
        otherwise="warn",
    )
    yield _size("dlq", dead.maximum_size)
    yield rule(
        "dlq.redrive-policy",
        "none" if dead.redrive is None else f"moves messages to {dead.redrive.target_arn}",
        holds=dead.redrive is None,
        why="reading dead letters counts as receives, after which SQS would move them on",
        fix="remove the redrive policy of the dead-letter queue",
        otherwise="warn",
    )


def check_queue_pair(
    main: QueueAttributes, dead: QueueAttributes, expected: QueueExpectations
) -> Iterator[CheckResult]:
    """Check the two queues against each other."""
    yield rule(
        "dlq.type",
        f"{_type(main)} queue, {_type(dead)} dead-letter queue",
        holds=main.fifo == dead.fifo,
        why="SQS does not move messages between queues of different types, and dead letters lose"
        " their order",
        fix="create a dead-letter queue of the same type as the queue",
    )
    yield rule(
        "dlq.separate",
        dead.arn,
        holds=main.arn != dead.arn,
        why="a rejected message would be received again, under the same id, forever",
        fix="create a separate queue for dead letters",
    )
    yield rule(
        "dlq.size",
        f"{size(dead.maximum_size)}, the queue {size(main.maximum_size)}",
        holds=dead.maximum_size >= main.maximum_size,
        why="a rejected message that does not fit stays in the queue, and loses the end of its body"
        " when the queue is about to delete it, unless RELAY_DEAD_LETTER_BUCKET is set",
        fix=f"set the dead-letter queue's MaximumMessageSize to {MAX_MESSAGE_SIZE}",
    )
    yield _redrive(main, dead, expected)
    yield _allowed(main, dead)


def _retention(main: QueueAttributes, expected: QueueExpectations) -> CheckResult:
    if expected.pull:
        return ok("queue.retention", f"{duration(main.retention)}, read from SQS by `relay poll`")
    shorter = main.retention < expected.queue_retention
    return rule(
        "queue.retention",
        f"{duration(main.retention)}, RELAY_QUEUE_RETENTION is"
        f" {duration(expected.queue_retention)}",
        holds=main.retention == expected.queue_retention,
        why="SQS deletes messages before the relay dead-letters them as expiring"
        if shorter
        else "the relay dead-letters messages as expiring earlier than necessary",
        fix=f"set its MessageRetentionPeriod to {expected.queue_retention:.0f}, or"
        f" RELAY_QUEUE_RETENTION to {main.retention:.0f}",
        otherwise="fail" if shorter else "warn",
    )


def _backlog(main: QueueAttributes, expected: QueueExpectations) -> CheckResult:
    """In an outage, what waits in the queue is dead-lettered in the last tenth of its retention."""
    tenth = last_tenth(main.retention)
    possible = main.visible / RATE <= tenth
    each = max(1 / RATE, expected.turn) if possible else 1 / RATE
    needed = retention_for(main.visible * each)
    longer = f"set the queue's MessageRetentionPeriod to at least {needed}, or "
    return rule(
        "queue.backlog",
        f"{main.visible} messages wait; a relay can dead-letter about {int(tenth / each)} in the"
        f" last tenth of the retention ({duration(round(tenth))})",
        holds=main.visible * each <= tenth,
        why="if the orchestrator is down for longer than the retention, SQS deletes the other"
        " messages without a dead letter"
        if each == 1 / RATE
        else "if the orchestrator is down for longer than the retention, younger messages that are"
        " held occupy sqsd's connections, and SQS deletes older ones without a dead letter",
        fix=f"{longer if needed <= MAX_RETENTION else ''}run more relays",
        otherwise="warn" if possible else "fail",
    )


def _hidden(main: QueueAttributes, expected: QueueExpectations) -> CheckResult:
    """In push mode the relay cannot shorten what sqsd hides, nor receive a message itself."""
    tenth = last_tenth(main.retention)
    needed = retention_for(expected.longest_hidden)
    return rule(
        "queue.hidden",
        f"sqsd hides a message for up to {duration(expected.longest_hidden)}, the last tenth of the"
        f" retention is {duration(round(tenth))}",
        holds=expected.longest_hidden <= tenth,
        why="if the relay or its instance is stopped while sqsd has a message, SQS may delete it"
        " before sqsd receives it again, without a dead letter",
        fix=f"set the queue's MessageRetentionPeriod and RELAY_QUEUE_RETENTION to at least {needed}"
        f" ({duration(needed)}), or sqsd's VisibilityTimeout and ErrorVisibilityTimeout to at most"
        f" {int(tenth)}, or use `relay poll`",
    )


def _visibility(main: QueueAttributes, expected: QueueExpectations) -> CheckResult:
    found = duration(main.visibility)
    if expected.pull:
        return rule(
            "queue.visibility",
            found,
            holds=MIN_POLL_VISIBILITY <= main.visibility <= MAX_POLL_VISIBILITY,
            why="`relay poll` extends it at half time: if it is too short, a pause of seconds"
            " causes duplicate deliveries; if it is too long, the messages of a crashed relay stay"
            " invisible",
            fix="set the queue's VisibilityTimeout to a few minutes",
            otherwise="warn",
        )
    return rule(
        "queue.visibility",
        f"{found}, a request can take up to {duration(expected.longest_answer)}",
        holds=main.visibility > expected.longest_answer,
        why="sqsd passes its own timeout with each receive; a consumer that does not gets this one,"
        " and the message is received again while it is in flight",
        fix=f"set the queue's VisibilityTimeout above {expected.longest_answer:.0f}",
        otherwise="warn",
    )


def _size(which: str, actual: int) -> CheckResult:
    return rule(
        f"{which}.maximum-size",
        size(actual),
        holds=actual >= MAX_MESSAGE_SIZE,
        why="queues created before August 2025 keep 256 KiB: SQS refuses larger messages, and the"
        " attribute that the relay adds to a dead letter counts too",
        fix=f"set its MaximumMessageSize to {MAX_MESSAGE_SIZE}",
        otherwise="warn",
    )


def _redrive(
    main: QueueAttributes, dead: QueueAttributes, expected: QueueExpectations
) -> CheckResult:
    policy = main.redrive
    if policy is None:
        found, right = "the queue has no redrive policy", False
    elif policy.target_arn != dead.arn:
        found, right = f"its target is {policy.target_arn}, RELAY_DLQ_URL is {dead.arn}", False
    else:
        found = (
            f"maxReceiveCount is {policy.max_receive_count}, RELAY_MAX_RECEIVE_COUNT is"
            f" {expected.max_receive_count}"
        )
        right = policy.max_receive_count == expected.max_receive_count
    return rule(
        "queue.redrive-policy",
        found,
        holds=right,
        why="it is the backstop for messages that crash the relay, and the relay relies on its"
        " maxReceiveCount",
        fix="set the queue's RedrivePolicy to "
        + json.dumps(
            {"deadLetterTargetArn": dead.arn, "maxReceiveCount": expected.max_receive_count}
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
        why="SQS refuses to move messages of this queue there",
        fix=f"add {main.arn} to sourceQueueArns in the dead-letter queue's RedriveAllowPolicy",
    )


def _type(queue: QueueAttributes) -> str:
    return "FIFO" if queue.fifo else "standard"
