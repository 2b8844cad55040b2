"""Whether the queues' encryption keys can be used, now and by those who have to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from relay.aws.errors import AwsError
from relay.aws.identity import KmsKey, describe_key, try_key
from relay.aws.session import Session
from relay.aws.sqs_values import Failed
from relay.ops.doctor.lookup import OpenQueue, QueueLookup
from relay.ops.doctor.result import CheckResult, PolicyStatement, not_checked, ok

NO_HANDLE = "relay-doctor-no-receipt-handle"
"""No message has it, so that deleting or hiding "it" touches none."""

_UNTRIED = "no harmless call can tell"
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})


async def check_queue_permissions(pair: QueueLookup) -> AsyncIterator[CheckResult]:
    """What sqsd or `relay poll` does to the queue, and the relay to its dead-letter queue."""
    if pair.main is not None:
        queue = pair.main.queue
        yield _counted("queue", queue.arn)
        yield await _tried(
            PolicyStatement(("sqs:DeleteMessage",), queue.arn), lambda: queue.delete([NO_HANDLE])
        )
        yield await _tried(
            PolicyStatement(("sqs:ChangeMessageVisibility",), queue.arn),
            lambda: queue.change_visibility([(NO_HANDLE, 0.0)]),
        )
    if pair.dead is not None:
        yield untried(
            PolicyStatement(("sqs:SendMessage",), pair.dead.queue.arn),
            "without it the relay halts at the first message that it rejects",
        )


def check_metrics_permission(namespace: str, *, wanted: bool) -> list[CheckResult]:
    """The permission to write metrics, where they go to CloudWatch."""
    if not wanted:
        return []
    why = f"without it no alarm hears of the relay; limit it to the namespace {namespace}"
    return [untried(PolicyStatement(("cloudwatch:PutMetricData",), "*"), why)]


def untried(statement: PolicyStatement, why: str) -> CheckResult:
    """A permission that only its use would prove."""
    return not_checked(
        _check(statement),
        _UNTRIED,
        why=why,
        fix="see that the relay's role has the statement",
        statement=statement,
    )


def _counted(which: str, arn: str) -> CheckResult:
    why = f"a receive of ours would count against the {which}'s maxReceiveCount"
    return untried(PolicyStatement(("sqs:ReceiveMessage",), arn), why)


async def _tried(
    statement: PolicyStatement, call: Callable[[], Awaitable[list[Failed | None]]]
) -> CheckResult:
    """A call about a message that does not exist: past the permission it fails for its handle."""
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
        state="fail",
        found=sentence,
        why="finished messages come again until SQS dead-letters them"
        if "Delete" in check
        else "messages in hand come again before they are finished",
        fix="grant the statement to the role of the relay",
        statement=statement,
    )


def _check(statement: PolicyStatement) -> str:
    return f"permission.{statement.actions[0]}"


AWSS_OWN = "alias/aws/"
USES = ("kms:GenerateDataKey", "kms:Decrypt")
_LOCKED = "nothing can be received from an encrypted queue and nothing dead-lettered without it"


async def check_encryption(session: Session, pair: QueueLookup) -> AsyncIterator[CheckResult]:
    """Each queue's encryption, and each key once."""
    keys: dict[tuple[str, str], str] = {}
    for which, seen in (("queue", pair.main), ("dlq", pair.dead)):
        if seen is None:
            continue
        if seen.attributes.kms_key is None:
            yield ok(f"{which}.encryption", "no key of KMS, nothing to be permitted")
            continue
        keys.setdefault((seen.attributes.kms_key, _region(seen)), f"{which}.encryption")
    for (key, region), check in keys.items():
        async for finding in _key(session, check, key, region):
            yield finding


async def _key(session: Session, check: str, name: str, region: str) -> AsyncIterator[CheckResult]:
    if name.startswith(AWSS_OWN):
        yield _shared(check, f"{name} is AWS's own")
        return
    statement = PolicyStatement(USES, name if name.startswith("arn:") else "the key's ARN")
    try:
        key = await describe_key(session, name, region)
    except AwsError as error:
        if error.kind != "denied":
            yield _broken(check, error.sentence)
            return
        yield not_checked(
            check,
            error.sentence,
            why="whether the key is enabled is not known",
            fix="look at its state in the console, or let somebody run this who may",
            statement=PolicyStatement(("kms:DescribeKey",), statement.resource),
        )
    else:
        yield _state(check, key)
        if key.aws_managed or key.state != "Enabled":
            return
        statement = PolicyStatement(USES, key.arn)
    yield await _use(session, f"{check}.use", name, region, statement)


def _state(check: str, key: KmsKey) -> CheckResult:
    if key.state != "Enabled":
        return _broken(check, f"{key.arn} is {key.state}")
    if key.aws_managed:
        return _shared(check, f"{key.arn} is AWS's own")
    return ok(check, f"{key.arn} is enabled")


def _shared(check: str, found: str) -> CheckResult:
    return CheckResult(
        check=check,
        state="warn",
        found=found,
        why="such a key lets no other service (SNS, EventBridge, S3) and no other account send",
        fix="use a key of your own, or SQS-managed encryption, if such producers are wanted",
    )


def _broken(check: str, found: str) -> CheckResult:
    return CheckResult(
        check=check,
        state="fail",
        found=found,
        why=_LOCKED,
        fix="enable the key, cancel its deletion, or give the queue another one",
    )


async def _use(
    session: Session, check: str, name: str, region: str, statement: PolicyStatement
) -> CheckResult:
    try:
        await try_key(session, name, region)
    except AwsError as error:
        return CheckResult(
            check=check,
            state="warn" if error.kind == "denied" else "fail",
            found=error.sentence,
            why=_LOCKED,
            fix="grant the statement, in the key's policy too. If that lets you in through SQS"
            " alone (kms:ViaService), this refusal is as it should be",
            statement=statement,
        )
    return ok(check, "a data key was made and decrypted")


def _region(seen: OpenQueue) -> str:
    return seen.queue.arn.split(":")[3]
