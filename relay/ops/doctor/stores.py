"""The ledger's table: there, of the right shape, forgetting by itself, and open to us."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial

from relay.aws.dynamodb import Table, describe_table, open_table
from relay.aws.errors import QueueError
from relay.aws.s3 import read_object
from relay.aws.secrets import Secret, parse_secret
from relay.aws.session import Session
from relay.delivery.ledger.table import EXPIRES, KEY
from relay.ops.doctor.finding import Finding, Statement, ok, rule, unchecked

ABSENT_TABLE = "doctor#absent"
"""A key that no note has. Reading and deleting it is permitted or not, and changes nothing."""

DESCRIBE = ("dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive")
READ = ("dynamodb:BatchGetItem",)
WRITE = ("dynamodb:BatchWriteItem",)
_WITHOUT = "the relay delivers without it, and what the orchestrator has forgotten may run twice"


async def of_ledger(session: Session, name: str | None) -> AsyncIterator[Finding]:
    """The table of this name; None stands for a relay without a ledger."""
    if name is None:
        yield ok("ledger", "off: what is replayed after the orchestrator forgot it runs again")
        return
    try:
        table = await describe_table(session, name)
    except QueueError as error:
        yield _unseen(name, error)
        resource = name if name.startswith("arn:") else f"the ARN of the table {name}"
        if error.kind != "denied":
            return
    else:
        for finding in _shape(table):
            yield finding
        resource = table.arn
    async with open_table(partial(_same, session), name, key=KEY) as items:
        yield await _tried(Statement(READ, resource), lambda: items.read([ABSENT_TABLE]))
        yield await _tried(Statement(WRITE, resource), lambda: items.write([], [ABSENT_TABLE]))


def _shape(table: Table) -> list[Finding]:
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
            f"items go by {table.expires}" if table.expires else "items stay for ever",
            holds=table.expires == EXPIRES,
            why="the table grows, and its bill with it, for ever",
            fix=f"enable DynamoDB's time to live on the attribute {EXPIRES}",
            otherwise="warn",
        ),
    ]


def _unseen(name: str, error: QueueError) -> Finding:
    if error.kind == "denied":
        return unchecked(
            "ledger.table",
            error.sentence,
            why="its key and its expiry are not known",
            fix="grant the statement to see them",
            statement=Statement(DESCRIBE, name),
        )
    return Finding(
        check="ledger.table",
        state="fail",
        found=error.sentence,
        why=_WITHOUT,
        fix="make the table, or correct RELAY_LEDGER_TABLE",
    )


async def _tried(statement: Statement, call: Callable[[], Awaitable[object]]) -> Finding:
    check = f"permission.{statement.actions[0]}"
    try:
        await call()
    except QueueError as error:
        if error.kind != "denied":
            return unchecked(check, error.sentence, why=_WITHOUT, statement=statement)
        return Finding(
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


async def of_buckets(session: Session, buckets: Iterable[str]) -> AsyncIterator[Finding]:
    """Ask each bucket for an object that is not there: its answer says what we may."""
    for bucket in buckets:
        statement = Statement(("s3:GetObject",), f"arn:aws:s3:::{bucket}/*")
        yield await _bucket(session, bucket, statement)


async def _bucket(session: Session, bucket: str, statement: Statement) -> Finding:
    check = f"payloads.{bucket}"
    try:
        await read_object(session, bucket, ABSENT_BUCKET, 1)
    except QueueError as error:
        if error.code == "NoSuchKey":
            return ok(check, "may be read")
        if error.kind == "missing":
            return Finding(
                check=check,
                state="fail",
                found=error.sentence,
                why="messages that point into it wait until they expire",
                fix="correct RELAY_PAYLOAD_BUCKETS, or the bucket's region",
            )
        return unchecked(
            check,
            error.sentence,
            why="S3 says the same of an absent object to whoever may read but not list, and without"
            " the permission messages that point into it wait",
            fix="see that the relay's role has the statement",
            statement=statement,
        )
    return ok(check, "may be read")


async def of_secret(setting: str, reference: str) -> tuple[Finding, str | None]:
    """Look it up as the relay does; the value, or None, is for the checks that need it."""
    place = parse_secret(reference)
    check = f"secret.{setting.lower().removeprefix('relay_').removesuffix('_secret')}"
    check = check.replace("_", "-")
    try:
        value = await Secret(reference).value()
    except QueueError as error:
        refused = error.kind in ("denied", "kms")
        resource = place.name if place.name.startswith("arn:") else f"the ARN of {place.name}"
        actions = (place.permission, *(("kms:Decrypt",) if error.kind == "kms" else ()))
        finding = Finding(
            check=check,
            state="fail",
            found=error.sentence,
            why="without the key no event can be sent or read back: the relay halts",
            fix="grant the statement" if refused else f"correct {setting}, or the secret",
            statement=Statement(actions, resource) if refused else None,
        )
        return finding, None
    return ok(check, "looked up"), value
