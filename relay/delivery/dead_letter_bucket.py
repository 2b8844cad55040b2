"""Bodies that the dead-letter queue has no room for, kept in an S3 bucket.

The dead letter points to its body in the format of SQS's extended client, so that the body is
fetched like any other payload: by `relay dlq`, and by the relay after a redrive. Nothing is deleted
here: the bucket's lifecycle rule does that, after the retention of both queues.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from relay.aws.errors import AwsError
from relay.aws.s3 import write_object
from relay.aws.session import Session
from relay.delivery.dead_letter_copy import NotStored
from relay.delivery.payloads import Pointer, pointer_text
from relay.model.message import Message

PREFIX = "relay-dead-letters/"
"""The beginning of each object's key, for a lifecycle rule and for the permission to write."""

SETTING = "RELAY_DEAD_LETTER_BUCKET"


class DeadLetterBucket:
    """Keeps bodies in a bucket.

    A body has the same key at each try, so a repeated one replaces itself. Another body has another
    key, whatever its message's id is: nobody can replace what is kept.

    Args:
        session: returns the AWS session; called when the first body is kept.
        bucket: the bucket's name.
    """

    def __init__(self, session: Callable[[], Awaitable[Session]], bucket: str) -> None:
        self._session = session
        self._bucket = bucket

    def pointer(self, message: Message) -> str:
        """The body of the dead letter that points to this message's body."""
        return pointer_text(Pointer(self._bucket, _key(message)))

    async def put(self, message: Message) -> None:
        """Keep the body, byte for byte.

        Raises:
            NotStored: names the setting if the bucket or a permission is missing.
        """
        try:
            await write_object(await self._session(), self._bucket, _key(message), message.body)
        except AwsError as error:
            raise NotStored(
                f"the body of a dead letter could not be stored: {error.sentence}",
                setting=None if error.transient else error.variable or SETTING,
            ) from error


def _key(message: Message) -> str:
    identity = f"{message.queue}\n{message.message_id}\n".encode("utf-8", "surrogatepass")
    return f"{PREFIX}{hashlib.sha256(identity + message.body).hexdigest()}"
