"""`relay resume`: let all relays on a queue take messages again."""

from __future__ import annotations

import asyncio
import time

from relay.cli.pause import (
    JsonOption,
    QueueOption,
    RelayOption,
    WaitOption,
    audit,
    change_queue,
    confirmations,
    finish,
    relay_addresses,
    shown,
)
from relay.cli.startup import EnvFile, load_settings
from relay.delivery.pause import CHECK_EVERY
from relay.ops.pausing import CONFIRM_WITHIN, Change, resume_queue

EXAMPLES = """\
relay resume
relay resume --queue orders-events --relay http://10.0.0.7:8000
"""

EXIT_CODES = (
    "Exit codes: 0 the queue is not paused, 1 SQS refused or did not answer, 2 wrong usage or"
    " settings, 3 the queue is resumed, but a relay named by --relay has not confirmed it."
)


def command(
    *,
    queue: QueueOption = None,
    relay: RelayOption = None,
    wait: WaitOption = CONFIRM_WITHIN,
    as_json: JsonOption = False,
    env_file: EnvFile = None,
) -> None:
    """Let all relays on the queue take messages again, after `relay pause`.

    The tag `relay-paused` is removed from the queue, which every relay on it notices within 15
    seconds. A backlog is delivered as fast as the destination takes it.
    """
    settings, urls = load_settings(env_file), relay_addresses(relay)
    name, change = asyncio.run(change_queue(settings, queue, resume_queue, again="relay resume"))
    if change.changed and change.pause is not None:
        audit(settings, "resume", name, change.pause)
    relays = asyncio.run(confirmations(urls, wait, paused=False))
    document: dict[str, object] = {
        "queue": name,
        "paused": False,
        "changed": change.changed,
        "pause": change.pause and change.pause.as_json(),
        "relays": shown(relays),
    }
    finish(document, [_sentence(name, change, urls)], relays, paused=False, as_json=as_json)


def _sentence(name: str, change: Change, urls: list[str]) -> str:
    if change.pause is None:
        return f"{name} is not paused"
    lasted = "" if change.pause.at is None else f" after {time.time() - change.pause.at:.0f} s"
    notice = "" if urls else f"; each relay on it notices within {CHECK_EVERY:g} s"
    return f"{name} is resumed{lasted}; it was {change.pause.sentence}{notice}"
