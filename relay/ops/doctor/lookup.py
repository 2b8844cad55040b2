"""Open the main queue and its dead-letter queue, or report why one cannot be opened."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from relay.aws.errors import AwsError
from relay.aws.session import Session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import QueueAttributes
from relay.ops.doctor.result import CheckResult, CheckStatus, PolicyStatement, not_checked, ok


@dataclass(frozen=True, slots=True)
class OpenQueue:
    """An open queue and the attributes it had when it was opened."""

    queue: Queue
    attributes: QueueAttributes


@dataclass(slots=True)
class QueueLookup:
    """The two queues, None if one cannot be opened, and the results of looking them up."""

    main: OpenQueue | None = None
    dead_letter: OpenQueue | None = None
    results: list[CheckResult] = field(default_factory=list)


async def look_up_queues(
    session: Session, stack: AsyncExitStack, queue: str | None, dead_letter_queue: str | None
) -> QueueLookup:
    """Open both queues; the stack closes them.

    Without a reference to the dead-letter queue, the target of the main queue's redrive policy is
    used.
    """
    found = QueueLookup()
    found.main = await _open(found, session, stack, "queue", queue)
    policy = found.main.attributes.redrive if found.main else None
    reference = dead_letter_queue or (policy.target_arn if policy else None)
    found.dead_letter = await _open(found, session, stack, "dlq", reference)
    return found


async def _open(
    found: QueueLookup, session: Session, stack: AsyncExitStack, which: str, reference: str | None
) -> OpenQueue | None:
    check = f"{which}.exists"
    if reference is None:
        found.results.append(_not_named(which, check, main_known=found.main is not None))
        return None
    try:
        queue = await stack.enter_async_context(open_queue(session, reference))
        opened = OpenQueue(queue, await queue.attributes())
    except AwsError as error:
        found.results.append(_cannot_open(check, reference, error))
        return None
    found.results.append(ok(check, queue.url))
    return opened


def _not_named(which: str, check: str, *, main_known: bool) -> CheckResult:
    if which == "queue":
        return not_checked(
            check,
            "RELAY_QUEUE_URL is not set",
            why="in push mode sqsd sends the queue's name with each message; this command needs it"
            " from the settings",
            fix="set RELAY_QUEUE_URL, at least for this command",
        )
    status: CheckStatus = "fail" if main_known else "not checked"
    return CheckResult(
        check=check,
        status=status,
        found="the queue has no redrive policy" if main_known else "RELAY_DLQ_URL is not set",
        why="the relay cannot dead-letter: it halts at the first message that it rejects",
        fix="give the queue a redrive policy, or set RELAY_DLQ_URL",
    )


def _cannot_open(check: str, reference: str, error: AwsError) -> CheckResult:
    denied = error.kind == "denied"
    check_it = error.variable or "the name, the region and the network"
    resource = reference if reference.startswith("arn:") else "the queue's ARN"
    return CheckResult(
        check=check,
        status="fail",
        found=error.sentence,
        why="the queue's attributes are unknown, and the relay makes the same call at start-up",
        fix="grant the statement" if denied else f"check {check_it}",
        statement=PolicyStatement(("sqs:GetQueueAttributes", "sqs:GetQueueUrl"), resource)
        if denied
        else None,
    )
