"""Builds what opens messages from the settings: the rules of decoding, and payloads from S3."""

from __future__ import annotations

from functools import partial

from relay.aws.errors import AwsError
from relay.aws.s3 import read_object
from relay.aws.session import SharedSession
from relay.delivery.opening import Opening
from relay.delivery.payloads import NotFetched, Payloads
from relay.envelope import Rules, decode
from relay.settings.model import Settings


def payloads(settings: Settings, session: SharedSession) -> Payloads:
    """Fetches payloads from the buckets that the settings name, also for dead letters."""

    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        try:
            body = await read_object(await session(), bucket, key, limit)
        except AwsError as error:
            missing = error.code in ("NoSuchKey", "404")
            raise NotFetched(error.sentence, "payload_missing" if missing else None) from error
        if body is None:
            raise NotFetched(f"the payload has more than {limit} bytes", "payload_too_large")
        return body

    kept = (settings.dead_letter_bucket,) if settings.dead_letter_bucket else ()
    return Payloads(fetch, buckets=frozenset((*settings.payload_buckets, *kept)))


def rules(settings: Settings) -> Rules:
    """How message bodies are decoded."""
    return Rules(
        envelope=settings.envelope,
        id_attribute=settings.id_attribute,
        id_path=settings.id_path,
        fifo_dedup_id=settings.fifo_dedup_id,
        max_events=settings.max_events,
        max_event_bytes=settings.max_event_bytes,
        task_prefix=settings.task_prefix,
        trace_in_data=settings.trace_in_data,
    )


def opening(settings: Settings, session: SharedSession) -> Opening:
    """Opens messages. Open, they may take as many bytes as the messages in flight."""
    return Opening(
        partial(decode, rules=rules(settings)),
        payloads(settings, session),
        size=settings.max_in_flight_bytes,
        max_events=settings.max_events,
    )
