"""Opens the queues that a command names; a problem with them ends the command."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from relay.aws.errors import AwsError
from relay.cli.startup import FAILED, USAGE, fail
from relay.dlq.queue_pair import NoQueue, QueuePair, open_queue_pair
from relay.output.terminal import echo
from relay.settings.model import Settings


@contextlib.asynccontextmanager
async def open_queues(
    settings: Settings, dlq: str | None, main: str | None
) -> AsyncIterator[QueuePair]:
    """The queues, for as long as the block runs. A request that AWS refuses ends the command."""
    try:
        async with open_queue_pair(
            dlq=dlq,
            main=main,
            configured_dlq=settings.dlq_url,
            configured_main=settings.queue_url,
            warn=warn,
        ) as queues:
            yield queues
    except NoQueue as error:
        fail(str(error), code=USAGE if error.usage else FAILED)
    except AwsError as error:
        fail(error.sentence)


def warn(sentence: str) -> None:
    """Print a sentence on standard error."""
    echo(f"relay: {sentence}", err=True)
