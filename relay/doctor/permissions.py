"""The permissions on the queues: tried where that changes nothing, else told as a statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from relay.aws.errors import QueueError
from relay.aws.values import Failed
from relay.doctor.finding import Finding, Statement, ok, unchecked
from relay.doctor.pair import Pair

NO_HANDLE = "relay-doctor-no-receipt-handle"
"""No message has it, so that deleting or hiding "it" touches none."""

_UNTRIED = "no harmless call can tell"
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})


async def of_queues(pair: Pair) -> AsyncIterator[Finding]:
    """What sqsd or `relay poll` does to the queue, and the relay to its dead-letter queue."""
    if pair.main is not None:
        queue = pair.main.queue
        yield _counted("queue", queue.arn)
        yield await _tried(
            Statement(("sqs:DeleteMessage",), queue.arn), lambda: queue.delete([NO_HANDLE])
        )
        yield await _tried(
            Statement(("sqs:ChangeMessageVisibility",), queue.arn),
            lambda: queue.change_visibility([(NO_HANDLE, 0.0)]),
        )
    if pair.dead is not None:
        yield untried(
            Statement(("sqs:SendMessage",), pair.dead.queue.arn),
            "without it the relay halts at the first message that it rejects",
        )


def of_metrics(namespace: str, *, wanted: bool) -> list[Finding]:
    """The permission to write metrics, where they go to CloudWatch."""
    if not wanted:
        return []
    why = f"without it no alarm hears of the relay; limit it to the namespace {namespace}"
    return [untried(Statement(("cloudwatch:PutMetricData",), "*"), why)]


def untried(statement: Statement, why: str) -> Finding:
    """A permission that only its use would prove."""
    return unchecked(
        _check(statement),
        _UNTRIED,
        why=why,
        fix="see that the relay's role has the statement",
        statement=statement,
    )


def _counted(which: str, arn: str) -> Finding:
    why = f"a receive of ours would count against the {which}'s maxReceiveCount"
    return untried(Statement(("sqs:ReceiveMessage",), arn), why)


async def _tried(
    statement: Statement, call: Callable[[], Awaitable[list[Failed | None]]]
) -> Finding:
    """A call about a message that does not exist: past the permission it fails for its handle."""
    check = _check(statement)
    try:
        (failed,) = await call()
    except QueueError as error:
        return _refused(check, error.code, error.sentence, statement)
    if failed is not None and failed.code in _DENIED:
        return _refused(check, failed.code, failed.sentence, statement)
    return ok(check, "permitted")


def _refused(check: str, code: str, sentence: str, statement: Statement) -> Finding:
    if code not in _DENIED:
        return unchecked(check, sentence, fix="try again", statement=statement)
    return Finding(
        check=check,
        state="fail",
        found=sentence,
        why="finished messages come again until SQS dead-letters them"
        if "Delete" in check
        else "messages in hand come again before they are finished",
        fix="grant the statement to the role of the relay",
        statement=statement,
    )


def _check(statement: Statement) -> str:
    return f"permission.{statement.actions[0]}"
