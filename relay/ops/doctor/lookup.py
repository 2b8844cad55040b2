"""The two queues: found, or the reason why one is not."""

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
    """A queue and its attributes when it was looked at."""

    queue: Queue
    attributes: QueueAttributes


@dataclass(slots=True)
class QueueLookup:
    """The main queue and its dead-letter queue, None where out of reach, and what was found."""

    main: OpenQueue | None = None
    dead: OpenQueue | None = None
    findings: list[CheckResult] = field(default_factory=list)


async def look_up_queues(
    session: Session, stack: AsyncExitStack, queue: str | None, dead_letter_queue: str | None
) -> QueueLookup:
    """Look both up; the stack closes them. The second is the redrive policy's where not named."""
    pair = QueueLookup()
    pair.main = await _find(pair, session, stack, "queue", queue)
    policy = pair.main.attributes.redrive if pair.main else None
    reference = dead_letter_queue or (policy.target_arn if policy else None)
    pair.dead = await _find(pair, session, stack, "dlq", reference)
    return pair


async def _find(
    pair: QueueLookup, session: Session, stack: AsyncExitStack, which: str, reference: str | None
) -> OpenQueue | None:
    check = f"{which}.exists"
    if reference is None:
        pair.findings.append(_unnamed(which, check, known=pair.main is not None))
        return None
    try:
        queue = await stack.enter_async_context(open_queue(session, reference))
        seen = OpenQueue(queue, await queue.attributes())
    except AwsError as error:
        pair.findings.append(_out_of_reach(check, reference, error))
        return None
    pair.findings.append(ok(check, queue.url))
    return seen


def _unnamed(which: str, check: str, *, known: bool) -> CheckResult:
    if which == "queue":
        return not_checked(
            check,
            "RELAY_QUEUE_URL is not set",
            why="in push mode sqsd names the queue with each message, here nobody does",
            fix="set RELAY_QUEUE_URL, for this command at least",
        )
    state: CheckStatus = "fail" if known else "not checked"
    return CheckResult(
        check=check,
        state=state,
        found="the queue has no redrive policy" if known else "RELAY_DLQ_URL is not set",
        why="what is rejected could be put nowhere: the relay halts at the first such message",
        fix="give the queue a redrive policy, or set RELAY_DLQ_URL",
    )


def _out_of_reach(check: str, reference: str, error: AwsError) -> CheckResult:
    denied = error.kind == "denied"
    resource = reference if reference.startswith("arn:") else "the queue's ARN"
    return CheckResult(
        check=check,
        state="fail",
        found=error.sentence,
        why="nothing is known about the queue, and the relay asks for the same at its start",
        fix="grant the statement" if denied else "check the name, the region and the network",
        statement=PolicyStatement(("sqs:GetQueueAttributes", "sqs:GetQueueUrl"), resource)
        if denied
        else None,
    )
