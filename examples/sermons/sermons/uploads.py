"""Uploads a sermon: the file into the bucket, and S3's notification into the queue.

The bucket is a directory here. With a real one, S3 sends the notification by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sermons import media, tracing
from sermons.texts import Script

BUCKET = "sermons"
FOLDER = "uploads"

_numbers = itertools.count()


class Uploader:
    """Uploads into a bucket.

    Args:
        sqs: an SQS client, such as that of aiobotocore.
        bucket: the directory that stands for the bucket.
    """

    def __init__(self, sqs: Any, queue_url: str, bucket: Path) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._bucket = bucket

    async def speak(self, script: Script, *, times: int = 1) -> str:
        """Have a script read aloud and upload the recording; notify `times` times, as S3 may.

        Returns the id that the relay gives to the event of the notification.
        """
        path = self._path(script.slug)
        await asyncio.to_thread(media.speak, script, path)
        return await self._notify(path, times)

    async def file(self, name: str, content: bytes) -> None:
        """Upload any bytes under a name without a suffix."""
        path = self._path(name)
        path.write_bytes(content)
        await self._notify(path, 1)

    async def send(self, body: str, traceparent: str = "") -> None:
        """Send a message of any kind, as a part of a trace."""
        attributes = (
            {tracing.NAME: {"DataType": "String", "StringValue": traceparent}}
            if traceparent
            else {}
        )
        await self._sqs.send_message(
            QueueUrl=self._queue_url, MessageBody=body, MessageAttributes=attributes
        )

    def _path(self, name: str) -> Path:
        path = self._bucket / FOLDER / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    async def _notify(self, path: Path, times: int) -> str:
        key = path.relative_to(self._bucket).as_posix()
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        version = sequencer()
        with tracing.uploading(path.stem) as traceparent:
            for _ in range(times):
                await self.send(notification(key, size, version), traceparent)
        return f"{BUCKET}/{key}/{version}/ObjectCreated:Put"


def sequencer() -> str:
    """Like S3's: hexadecimal, and greater for a later upload of the same key."""
    return f"{time.time_ns():016X}{next(_numbers):04X}"


def notification(key: str, size: int, version: str) -> str:
    """The message that S3 sends for a new object, without the fields that nobody reads here."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": BUCKET, "arn": f"arn:aws:s3:::{BUCKET}"},
            "object": {"key": key, "size": size, "sequencer": version},
        },
    }
    return json.dumps({"Records": [record]})
