"""Check whether the queue is paused, and whether the relay would notice it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from relay.aws.errors import AwsError
from relay.delivery.pause import read_pause
from relay.ops.doctor.lookup import OpenQueue
from relay.ops.doctor.result import CheckResult, PolicyStatement, not_checked, ok

CHECK = "queue.paused"
PERMISSION = "permission.sqs:ListQueueTags"


async def check_pause(main: OpenQueue | None, *, named: bool) -> AsyncIterator[CheckResult]:
    """Read the queue's tags, as the relay does. `named` is whether the settings name the queue."""
    if main is None:
        return
    statement = PolicyStatement(("sqs:ListQueueTags",), main.queue.arn)
    try:
        pause = read_pause(await main.queue.tags())
    except AwsError as error:
        if error.kind == "denied":
            yield _denied(error, statement)
        else:
            yield not_checked(CHECK, error.sentence, fix="try again", statement=statement)
        return
    yield ok(PERMISSION, "permitted")
    if pause is not None:
        yield CheckResult(
            check=CHECK,
            status="warn",
            found=pause.sentence,
            why="the relay takes no messages; past 90 % of the queue's retention it dead-letters"
            " them as expiring",
            fix="run `relay resume` when the reason for the pause is gone",
        )
    elif not named:
        yield CheckResult(
            check=CHECK,
            status="warn",
            found="RELAY_QUEUE_URL is not set",
            why="the relay does not know whose tags to read, so `relay pause` has no effect on it",
            fix="set RELAY_QUEUE_URL to the queue that sqsd reads",
        )
    else:
        yield ok(CHECK, "not paused")


def _denied(error: AwsError, statement: PolicyStatement) -> CheckResult:
    return CheckResult(
        check=PERMISSION,
        status="warn",
        found=error.sentence,
        why="`relay pause` has no effect on the relay. SQS grants this permission only to roles in"
        " the queue's own account",
        fix="grant the statement",
        statement=statement,
    )
