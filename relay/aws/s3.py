"""S3: whole objects, read up to a size and written."""

from __future__ import annotations

from relay.aws.errors import calling
from relay.aws.session import Session


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


async def write_object(session: Session, bucket: str, key: str, body: bytes) -> None:
    """Store the object, replacing one of the same key.

    Raises:
        AwsError: of kind `missing` if the bucket does not exist.
    """
    client = await session.client("s3")
    with calling("s3:PutObject", f"s3://{bucket}/{key}"):
        await client.put_object(Bucket=bucket, Key=key, Body=body)
