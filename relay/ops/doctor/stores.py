"""The ledger's table: there, of the right shape, forgetting by itself, and open to us."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial

from relay.aws.dynamodb import TableDescription, describe_table, open_table
from relay.aws.errors import AwsError
from relay.aws.s3 import read_object
from relay.aws.secrets import Secret, parse_secret
from relay.aws.session import Session
from relay.delivery.ledger.table import EXPIRES, KEY
from relay.ops.doctor.result import CheckResult, PolicyStatement, not_checked, ok, rule

ABSENT_TABLE = "doctor#absent"
"""A key that no note has. Reading and deleting it is permitted or not, and changes nothing."""

DESCRIBE = ("dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive")
READ = ("dynamodb:BatchGetItem",)
WRITE = ("dynamodb:BatchWriteItem",)
_WITHOUT = "the relay delivers without it, and what the orchestrator has forgotten may run twice"


async def check_ledger(session: Session, name: str | None) -> AsyncIterator[CheckResult]:
    """The table of this name; None stands for a relay without a ledger."""
    if name is None:
        yield ok("ledger", "off: what is replayed after the orchestrator forgot it runs again")
        return
    try:
        table = await describe_table(session, name)
    except AwsError as error:
        yield _unseen(name, error)
        resource = name if name.startswith("arn:") else f"the ARN of the table {name}"
        if error.kind != "denied":
            return
    else:
        for finding in _shape(table):
            yield finding
        resource = table.arn
    async with open_table(partial(_same, session), name, key=KEY) as items:
        yield await _tried(PolicyStatement(READ, resource), lambda: items.read([ABSENT_TABLE]))
        yield await _tried(
            PolicyStatement(WRITE, resource), lambda: items.write([], [ABSENT_TABLE])
        )


def _shape(table: TableDescription) -> list[CheckResult]:
    key = ", ".join(f"{name} ({kind})" for name, kind in table.key)
    return [
        rule(
            "ledger.table",
            f"{table.arn} is {table.status}",
            holds=table.status in ("ACTIVE", "UPDATING"),
            why=_WITHOUT,
            fix="wait until the table is active, or restore it",
        ),
        rule(
            "ledger.key",
            key,
            holds=table.key == ((KEY, "S"),),
            why=_WITHOUT,
            fix=f"make a table whose only key is the partition key {KEY}, a string",
        ),
        rule(
            "ledger.expiry",
            f"items go by {table.ttl_attribute}" if table.ttl_attribute else "items stay for ever",
            holds=table.ttl_attribute == EXPIRES,
            why="the table grows, and its bill with it, for ever",
            fix=f"enable DynamoDB's time to live on the attribute {EXPIRES}",
            otherwise="warn",
        ),
    ]


def _unseen(name: str, error: AwsError) -> CheckResult:
    if error.kind == "denied":
        return not_checked(
            "ledger.table",
            error.sentence,
            why="its key and its expiry are not known",
            fix="grant the statement to see them",
            statement=PolicyStatement(DESCRIBE, name),
        )
    return CheckResult(
        check="ledger.table",
        state="fail",
        found=error.sentence,
        why=_WITHOUT,
        fix="make the table, or correct RELAY_LEDGER_TABLE",
    )


async def _tried(statement: PolicyStatement, call: Callable[[], Awaitable[object]]) -> CheckResult:
    check = f"permission.{statement.actions[0]}"
    try:
        await call()
    except AwsError as error:
        if error.kind != "denied":
            return not_checked(check, error.sentence, why=_WITHOUT, statement=statement)
        return CheckResult(
            check=check,
            state="fail",
            found=error.sentence,
            why=_WITHOUT,
            fix="grant the statement to the role of the relay",
            statement=statement,
        )
    return ok(check, "permitted")


async def _same(session: Session) -> Session:
    return session


ABSENT_BUCKET = "relay-doctor/absent"


async def check_payload_buckets(
    session: Session, buckets: Iterable[str]
) -> AsyncIterator[CheckResult]:
    """Ask each bucket for an object that is not there: its answer says what we may."""
    for bucket in buckets:
        statement = PolicyStatement(("s3:GetObject",), f"arn:aws:s3:::{bucket}/*")
        yield await _bucket(session, bucket, statement)


async def _bucket(session: Session, bucket: str, statement: PolicyStatement) -> CheckResult:
    check = f"payloads.{bucket}"
    try:
        await read_object(session, bucket, ABSENT_BUCKET, 1)
    except AwsError as error:
        if error.code == "NoSuchKey":
            return ok(check, "may be read")
        if error.kind == "missing":
            return CheckResult(
                check=check,
                state="fail",
                found=error.sentence,
                why="messages that point into it wait until they expire",
                fix="correct RELAY_PAYLOAD_BUCKETS, or the bucket's region",
            )
        return not_checked(
            check,
            error.sentence,
            why="S3 says the same of an absent object to whoever may read but not list, and without"
            " the permission messages that point into it wait",
            fix="see that the relay's role has the statement",
            statement=statement,
        )
    return ok(check, "may be read")


async def check_secret(setting: str, reference: str) -> tuple[CheckResult, str | None]:
    """Look it up as the relay does; the value, or None, is for the checks that need it."""
    place = parse_secret(reference)
    check = f"secret.{setting.lower().removeprefix('relay_').removesuffix('_secret')}"
    check = check.replace("_", "-")
    try:
        value = await Secret(reference).value()
    except AwsError as error:
        refused = error.kind in ("denied", "kms")
        resource = place.name if place.name.startswith("arn:") else f"the ARN of {place.name}"
        actions = (place.permission, *(("kms:Decrypt",) if error.kind == "kms" else ()))
        finding = CheckResult(
            check=check,
            state="fail",
            found=error.sentence,
            why="without the key no event can be sent or read back: the relay halts",
            fix="grant the statement" if refused else f"correct {setting}, or the secret",
            statement=PolicyStatement(actions, resource) if refused else None,
        )
        return finding, None
    return ok(check, "looked up"), value
