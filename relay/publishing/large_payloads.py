"""Bodies that are too large for the queue, kept in an S3 bucket with a pointer in the message.

The format is that of SQS's extended client, which the relay reads. Nothing is deleted here: the
bucket's lifecycle rule does that, after the retention of both queues.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

from relay.aws.s3 import write_object
from relay.aws.session import Session
from relay.aws.sqs_values import Outgoing
from relay.delivery.payloads import Pointer, pointer_text
from relay.model.message import Attribute

PREFIX = "relay-payloads/"
"""The beginning of each object's key, for a lifecycle rule and for the permission to write."""

SIZE_ATTRIBUTE = "ExtendedPayloadSize"
"""The attribute by which the extended client recognises a pointer."""


class LargePayloads:
    """Stores bodies under a key made of their bytes: a repeated body replaces itself.

    Args:
        session: returns the AWS session.
        bucket: the bucket's name. The relay must have it in `RELAY_PAYLOAD_BUCKETS`.
        timeout: seconds for one body.
    """

    def __init__(
        self, session: Callable[[], Awaitable[Session]], bucket: str, *, timeout: float = 5.0
    ) -> None:
        self._session = session
        self._bucket = bucket
        self._timeout = timeout

    async def put(self, message: Outgoing) -> Outgoing:
        """The message that points to this one's body, once the body is stored.

        Raises:
            AwsError: the body is not known to be stored.
        """
        body = message.body.encode()
        key = f"{PREFIX}{hashlib.sha256(body).hexdigest()}"
        session = await self._session()
        await write_object(session, self._bucket, key, body, seconds=self._timeout)
        size = Attribute("Number", str(len(body)))
        return replace(
            message,
            body=pointer_text(Pointer(self._bucket, key)),
            attributes={**message.attributes, SIZE_ATTRIBUTE: size},
        )
