"""Objects of S3, read whole up to a limit."""

from __future__ import annotations

from relay.aws.errors import translate
from relay.aws.session import Session


async def read_object(session: Session, bucket: str, key: str, limit: int) -> bytes | None:
    """The object's bytes, None where it has more than `limit` of them.

    Raises:
        AwsError: of kind `missing` where there is no such bucket or object. Without permission to
            list the bucket S3 says `denied` for a missing object too.
    """
    client = await session.client("s3")
    try:
        answer = await client.get_object(Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            if answer["ContentLength"] > limit:
                return None
            return bytes(await body.read())
    except Exception as error:
        raise translate(error, "s3:GetObject", f"s3://{bucket}/{key}") from error
