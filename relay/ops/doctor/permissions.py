"""Check the permissions on the queues and the metrics, and the queues' encryption keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from relay.aws.errors import AwsError
from relay.aws.identity import KmsKey, describe_key, try_key
from relay.aws.session import Session
from relay.aws.sqs_values import Failed
from relay.ops.doctor.lookup import OpenQueue, QueueLookup
from relay.ops.doctor.result import CheckResult, PolicyStatement, not_checked, ok

INVALID_RECEIPT_HANDLE = "relay-doctor-no-receipt-handle"
"""No message has this handle, so deleting or hiding it affects no message."""

AWS_ALIAS_PREFIX = "alias/aws/"
KEY_USES = ("kms:GenerateDataKey", "kms:Decrypt")

_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_KEY_WHY = "without it the relay cannot receive from an encrypted queue or dead-letter to one"


async def check_queue_permissions(queues: QueueLookup) -> AsyncIterator[CheckResult]:
    """Check what sqsd or `relay poll` does with the queue, and the relay with the DLQ."""
    if queues.main is not None:
        queue = queues.main.queue
        yield untestable(
            PolicyStatement(("sqs:ReceiveMessage",), queue.arn),
            "a receive by this command would count toward the queue's maxReceiveCount",
        )
        yield await _try(
            PolicyStatement(("sqs:DeleteMessage",), queue.arn),
            lambda: queue.delete([INVALID_RECEIPT_HANDLE]),
        )
        yield await _try(
            PolicyStatement(("sqs:ChangeMessageVisibility",), queue.arn),
            lambda: queue.change_visibility([(INVALID_RECEIPT_HANDLE, 0.0)]),
        )
    if queues.dead_letter is not None:
        yield untestable(
            PolicyStatement(("sqs:SendMessage",), queues.dead_letter.queue.arn),
            "without it the relay halts at the first message that it rejects",
        )


def check_metrics_permission(namespace: str, *, enabled: bool) -> list[CheckResult]:
    """Check the permission to write metrics, if they go to CloudWatch."""
    if not enabled:
        return []
    why = (
        "without it no alarm on the relay's metrics can fire; it can be limited to the namespace"
        f" {namespace}"
    )
    return [untestable(PolicyStatement(("cloudwatch:PutMetricData",), "*"), why)]


def untestable(statement: PolicyStatement, why: str) -> CheckResult:
    """A permission that cannot be tested without side effects."""
    return not_checked(
        _check(statement),
        "cannot be tested without side effects",
        why=why,
        fix="make sure that the relay's role has the statement",
        statement=statement,
    )


async def _try(
    statement: PolicyStatement, call: Callable[[], Awaitable[list[Failed | None]]]
) -> CheckResult:
    """Make a call that fails in any case: for its receipt handle if the permission is there."""
    check = _check(statement)
    try:
        (failed,) = await call()
    except AwsError as error:
        return _refused(check, error.code, error.sentence, statement)
    if failed is not None and failed.code in _DENIED:
        return _refused(check, failed.code, failed.sentence, statement)
    return ok(check, "permitted")


def _refused(check: str, code: str, sentence: str, statement: PolicyStatement) -> CheckResult:
    if code not in _DENIED:
        return not_checked(check, sentence, fix="try again", statement=statement)
    return CheckResult(
        check=check,
        status="fail",
        found=sentence,
        why="processed messages are received again until SQS dead-letters them"
        if "Delete" in check
        else "messages in flight are received again before they are finished",
        fix="grant the statement to the relay's role",
        statement=statement,
    )


def _check(statement: PolicyStatement) -> str:
    return f"permission.{statement.actions[0]}"


async def check_encryption(session: Session, queues: QueueLookup) -> AsyncIterator[CheckResult]:
    """Check each queue's encryption; a key that both queues use is checked once."""
    keys: dict[tuple[str, str], str] = {}
    for which, opened in (("queue", queues.main), ("dlq", queues.dead_letter)):
        if opened is None:
            continue
        if opened.attributes.kms_key is None:
            yield ok(f"{which}.encryption", "no KMS key, so no permission is needed")
            continue
        keys.setdefault((opened.attributes.kms_key, _region(opened)), f"{which}.encryption")
    for (key, region), check in keys.items():
        async for result in _key(session, check, key, region):
            yield result


async def _key(session: Session, check: str, name: str, region: str) -> AsyncIterator[CheckResult]:
    if name.startswith(AWS_ALIAS_PREFIX):
        yield _aws_managed(check, f"{name} is an AWS managed key")
        return
    statement = PolicyStatement(KEY_USES, name if name.startswith("arn:") else "the key's ARN")
    try:
        key = await describe_key(session, name, region)
    except AwsError as error:
        if error.kind != "denied":
            yield _unusable(check, error.sentence)
            return
        yield not_checked(
            check,
            error.sentence,
            why="whether the key is enabled is not known",
            fix="check its state in the console, or run this with the permission below",
            statement=PolicyStatement(("kms:DescribeKey",), statement.resource),
        )
    else:
        yield _key_state(check, key)
        if key.aws_managed or key.state != "Enabled":
            return
        statement = PolicyStatement(KEY_USES, key.arn)
    yield await _try_key(session, f"{check}.use", name, region, statement)


def _key_state(check: str, key: KmsKey) -> CheckResult:
    if key.state != "Enabled":
        return _unusable(check, f"{key.arn} is {key.state}")
    if key.aws_managed:
        return _aws_managed(check, f"{key.arn} is an AWS managed key")
    return ok(check, f"{key.arn} is enabled")


def _aws_managed(check: str, found: str) -> CheckResult:
    return CheckResult(
        check=check,
        status="warn",
        found=found,
        why="with this key no other AWS service (SNS, EventBridge, S3) and no other account can"
        " send to the queue",
        fix="use a customer managed key or SQS-managed encryption if you have such producers",
    )


def _unusable(check: str, found: str) -> CheckResult:
    return CheckResult(
        check=check,
        status="fail",
        found=found,
        why=_KEY_WHY,
        fix="enable the key, cancel its deletion, or give the queue another key",
    )


async def _try_key(
    session: Session, check: str, name: str, region: str, statement: PolicyStatement
) -> CheckResult:
    try:
        await try_key(session, name, region)
    except AwsError as error:
        if error.kind == "denied":
            return not_checked(
                check,
                error.sentence,
                why=f"{_KEY_WHY}. A role that may use the key only through SQS (kms:ViaService), as"
                " the stack's do, is denied this test",
                fix="make sure that the role has the statement, for SQS at least, and that the"
                " key's policy allows it too",
                statement=statement,
            )
        return CheckResult(
            check=check,
            status="fail",
            found=error.sentence,
            why=_KEY_WHY,
            fix="grant the statement, also in the key's policy",
            statement=statement,
        )
    return ok(check, "a data key was generated and decrypted")


def _region(opened: OpenQueue) -> str:
    return opened.queue.arn.split(":")[3]
