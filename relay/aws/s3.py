"""S3: whole objects, read up to a size and written."""

from __future__ import annotations

import asyncio

from relay.aws.errors import calling
from relay.aws.session import READ_TIMEOUT, Session


async def read_object(session: Session, bucket: str, key: str, limit: int) -> bytes | None:
    """The object's bytes, or None if it is larger than `limit` bytes.

    Raises:
        AwsError: of kind `missing` if the bucket or object does not exist. Without permission to
            list the bucket S3 answers `denied` for a missing object too.
    """
    client = await session.client("s3")
    with calling("s3:GetObject", f"s3://{bucket}/{key}"):
        answer = await client.get_object(Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            if answer["ContentLength"] > limit:
                return None
            return bytes(await body.read())


async def write_object(
    session: Session, bucket: str, key: str, body: bytes, *, seconds: float = READ_TIMEOUT
) -> None:
    """Store the object, replacing one of the same key.

    Raises:
        AwsError: of kind `missing` if the bucket does not exist, of kind `connection` if S3 does
            not answer within so many seconds.
    """
    client = await session.client("s3")
    with calling("s3:PutObject", f"s3://{bucket}/{key}"):
        # The library's own time-out does not count while it waits for `100 Continue`.
        async with asyncio.timeout(seconds):
            await client.put_object(Bucket=bucket, Key=key, Body=body)
