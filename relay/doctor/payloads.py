"""The buckets of large payloads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from relay.aws.errors import QueueError
from relay.aws.s3 import read_object
from relay.aws.session import Session
from relay.doctor.finding import Finding, Statement, ok, unchecked

ABSENT = "relay-doctor/absent"


async def of_buckets(session: Session, buckets: Iterable[str]) -> AsyncIterator[Finding]:
    """Ask each bucket for an object that is not there: its answer says what we may."""
    for bucket in buckets:
        statement = Statement(("s3:GetObject",), f"arn:aws:s3:::{bucket}/*")
        yield await _bucket(session, bucket, statement)


async def _bucket(session: Session, bucket: str, statement: Statement) -> Finding:
    check = f"payloads.{bucket}"
    try:
        await read_object(session, bucket, ABSENT, 1)
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
