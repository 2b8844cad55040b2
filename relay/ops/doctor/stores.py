"""Check the ledger's table, the payload buckets and the secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from relay.aws.dynamodb import TableDescription, describe_table, open_table
from relay.aws.errors import AwsError
from relay.aws.regions import partition_of
from relay.aws.s3 import read_object
from relay.aws.secrets import Secret, parse_secret
from relay.aws.session import Session
from relay.delivery.dead_letter_bucket import PREFIX, SETTING
from relay.delivery.ledger.table import EXPIRES, KEY
from relay.ops.doctor.permissions import untestable
from relay.ops.doctor.result import CheckResult, PolicyStatement, not_checked, ok, rule

ABSENT_ITEM = "doctor#absent"
"""A key that no ledger entry has: reading and deleting it tests the permissions without effect."""

ABSENT_OBJECT = "relay-doctor/absent"
"""An object that does not exist: reading it tests the permission."""

DESCRIBE = ("dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive")
READ = ("dynamodb:BatchGetItem",)
WRITE = ("dynamodb:BatchWriteItem",)
_LEDGER_WHY = (
    "the relay delivers without the ledger, and an event can run twice once the orchestrator no"
    " longer remembers its id"
)


async def check_ledger(session: Session, name: str | None) -> AsyncIterator[CheckResult]:
    """Check the table of this name; None is a relay without a ledger."""
    if name is None:
        yield ok(
            "ledger",
            "off: events replayed after the orchestrator has forgotten their ids run again",
        )
        return
    try:
        table = await describe_table(session, name)
    except AwsError as error:
        yield _not_described(name, error)
        resource = name if name.startswith("arn:") else f"the ARN of the table {name}"
        if error.kind != "denied":
            return
    else:
        for result in _schema(table):
            yield result
        resource = table.arn
    async with open_table(partial(_opened, session), name, key=KEY) as items:
        yield await _try(PolicyStatement(READ, resource), lambda: items.read([ABSENT_ITEM]))
        yield await _try(PolicyStatement(WRITE, resource), lambda: items.write([], [ABSENT_ITEM]))


def _schema(table: TableDescription) -> list[CheckResult]:
    key = ", ".join(f"{name} ({kind})" for name, kind in table.key)
    return [
        rule(
            "ledger.table",
            f"{table.arn} is {table.status}",
            holds=table.status in ("ACTIVE", "UPDATING"),
            why=_LEDGER_WHY,
            fix="wait until the table is active, or restore it from a backup",
        ),
        rule(
            "ledger.key",
            key,
            holds=table.key == ((KEY, "S"),),
            why=_LEDGER_WHY,
            fix=f"create a table whose primary key is only the partition key {KEY}, a string",
        ),
        rule(
            "ledger.expiry",
            f"TTL attribute {table.ttl_attribute}" if table.ttl_attribute else "no TTL attribute",
            holds=table.ttl_attribute == EXPIRES,
            why="the table and its cost grow without limit",
            fix=f"enable DynamoDB's time to live (TTL) on the attribute {EXPIRES}",
            otherwise="warn",
        ),
    ]


def _not_described(name: str, error: AwsError) -> CheckResult:
    if error.kind == "denied":
        return not_checked(
            "ledger.table",
            error.sentence,
            why="its key and its TTL attribute are not known",
            fix="grant the statement to check them",
            statement=PolicyStatement(DESCRIBE, name),
        )
    return CheckResult(
        check="ledger.table",
        status="fail",
        found=error.sentence,
        why=_LEDGER_WHY,
        fix="create the table, or correct RELAY_LEDGER_TABLE",
    )


async def _try(statement: PolicyStatement, call: Callable[[], Awaitable[object]]) -> CheckResult:
    check = f"permission.{statement.actions[0]}"
    try:
        await call()
    except AwsError as error:
        if error.kind != "denied":
            return not_checked(check, error.sentence, why=_LEDGER_WHY, statement=statement)
        return CheckResult(
            check=check,
            status="fail",
            found=error.sentence,
            why=_LEDGER_WHY,
            fix="grant the statement to the relay's role",
            statement=statement,
        )
    return ok(check, "permitted")


async def _opened(session: Session) -> Session:
    return session


async def check_payload_buckets(
    session: Session, buckets: Sequence[str], dead_letter_bucket: str | None
) -> AsyncIterator[CheckResult]:
    """Read an object that does not exist from each bucket, which shows what is permitted.

    Of the bucket for dead letters only the relay's own part needs to be readable.
    """
    for bucket in buckets:
        yield await _bucket(session, bucket, "", "RELAY_PAYLOAD_BUCKETS")
    if dead_letter_bucket is None:
        return
    if dead_letter_bucket not in buckets:
        yield await _bucket(session, dead_letter_bucket, PREFIX, SETTING)
    why = "without it a message that does not fit into the dead-letter queue is not dead-lettered"
    objects = _objects(session, dead_letter_bucket, PREFIX)
    yield untestable(PolicyStatement(("s3:PutObject",), objects), why)


def _objects(session: Session, bucket: str, prefix: str) -> str:
    return f"arn:{partition_of(session.region or '')}:s3:::{bucket}/{prefix}*"


async def _bucket(session: Session, bucket: str, prefix: str, setting: str) -> CheckResult:
    check = f"payloads.{bucket}"
    statement = PolicyStatement(("s3:GetObject",), _objects(session, bucket, prefix))
    try:
        await read_object(session, bucket, prefix + ABSENT_OBJECT, 1)
    except AwsError as error:
        if error.code == "NoSuchKey":
            return ok(check, "can be read")
        if error.kind == "missing":
            return CheckResult(
                check=check,
                status="fail",
                found=error.sentence,
                why="messages whose payload is in this bucket wait until they expire",
                fix=f"correct {setting} or the bucket's region",
            )
        return not_checked(
            check,
            error.sentence,
            why="S3 also denies access to an absent object if the role may read but not list;"
            " without the permission, messages whose payload is in this bucket wait",
            fix="make sure that the relay's role has the statement",
            statement=statement,
        )
    return ok(check, "can be read")


async def check_secret(setting: str, reference: str) -> tuple[CheckResult, str | None]:
    """Look up a secret as the relay does. Also returns its value, None if it cannot be read."""
    place = parse_secret(reference)
    check = f"secret.{setting.lower().removeprefix('relay_').removesuffix('_secret')}"
    check = check.replace("_", "-")
    try:
        value = await Secret(reference).value()
    except AwsError as error:
        denied = error.kind in ("denied", "kms")
        resource = place.name if place.name.startswith("arn:") else f"the ARN of {place.name}"
        actions = (place.permission, *(("kms:Decrypt",) if error.kind == "kms" else ()))
        result = CheckResult(
            check=check,
            status="fail",
            found=error.sentence,
            why="without the key no event can be sent or read back: the relay halts",
            fix="grant the statement" if denied else f"correct {setting} or the secret",
            statement=PolicyStatement(actions, resource) if denied else None,
        )
        return result, None
    return ok(check, "can be read"), value
