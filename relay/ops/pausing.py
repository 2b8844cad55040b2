"""Pauses and resumes a queue, and asks relays whether they have noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx

from relay.aws.errors import AwsError
from relay.aws.references import same_queue
from relay.aws.sqs import Queue
from relay.delivery.pause import LONGEST_VALUE, TAG, Pause, read_pause, tag_value
from relay.ops.status import RelayStatus, fetch_relay_status

CONFIRM_WITHIN = 45.0
"""Seconds for which relays are asked: three times as long as a relay takes to read the tags."""

ASK_EVERY = 1.0


class PauseRefused(Exception):
    """The queue is not paused. The text is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a command found and did. `pause` is the one that now counts, or the one that ended."""

    changed: bool
    pause: Pause | None


def checked_value(pause: Pause) -> str:
    """The tag's value.

    Raises:
        PauseRefused: a tag cannot hold it.
    """
    value = tag_value(pause)
    if (surplus := len(value) - LONGEST_VALUE) > 0:
        raise PauseRefused(
            f"the reason is too long for a tag by {surplus} characters; shorten it (letters and"
            " signs that a tag may not hold take three characters and more)"
        )
    return value


async def pause_queue(queue: Queue, pause: Pause, dead_letter_queue: str | None) -> Change:
    """Pause the queue, unless it is paused: then the earlier pause is kept.

    Raises:
        AwsError: SQS refused, or did not answer. Then the tag may be there all the same.
        PauseRefused: no relay takes messages from this queue, or the reason is too long.
    """
    value = checked_value(pause)
    await _check_takes_messages(queue, dead_letter_queue)
    if (before := read_pause(await queue.tags())) is not None:
        return Change(changed=False, pause=before)
    await queue.tag(TAG, value)
    return Change(changed=True, pause=pause)


async def resume_queue(queue: Queue) -> Change:
    """Resume the queue, if it is paused.

    Raises:
        AwsError: SQS refused, or did not answer. Then the tag may be gone all the same.
    """
    before = read_pause(await queue.tags())
    if before is None:
        return Change(changed=False, pause=None)
    await queue.untag(TAG)
    return Change(changed=True, pause=before)


async def _check_takes_messages(queue: Queue, dead_letter_queue: str | None) -> None:
    if dead_letter_queue is not None and same_queue(dead_letter_queue, queue.arn):
        raise PauseRefused(f"{queue.name} is the dead-letter queue (RELAY_DLQ_URL): {_WHY_NOT}")
    with suppress(AwsError):  # without the permission, the settings must be enough
        if sources := await queue.sources():
            names = ", ".join(url.rpartition("/")[2] for url in sources[:3])
            raise PauseRefused(f"{queue.name} is the dead-letter queue of {names}: {_WHY_NOT}")


_WHY_NOT = "no relay takes messages from it; name the queue that it belongs to"


async def ask_relays(
    client: httpx.AsyncClient,
    urls: Sequence[str],
    *,
    paused: bool,
    within: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[RelayStatus]:
    """The status of each relay, once all are paused (or none is), or after so many seconds."""
    waited = 0.0
    while True:
        found = await asyncio.gather(*(fetch_relay_status(client, url) for url in urls))
        if waited >= within or all(relay.paused is paused for relay in found):
            return list(found)
        await sleep(ASK_EVERY)
        waited += ASK_EVERY
