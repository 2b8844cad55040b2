"""Large payloads, fetched from S3 with the session that all parts share."""

from __future__ import annotations

from relay.aws.errors import QueueError
from relay.aws.s3 import read_object
from relay.payloads import NotFetched, Payloads
from relay.settings import Settings
from relay.wiring.session import SharedSession


def payloads(settings: Settings, session: SharedSession) -> Payloads:
    """Opens pointers into the buckets that the settings name."""

    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        try:
            body = await read_object(await session(), bucket, key, limit)
        except QueueError as error:
            gone = error.code in ("NoSuchKey", "404")
            raise NotFetched(error.sentence, "payload_missing" if gone else None) from error
        if body is None:
            raise NotFetched(f"the payload has over {limit} bytes", "payload_too_large")
        return body

    return Payloads(fetch, buckets=frozenset(settings.payload_buckets))
