"""A poller in a process of its own: prints each body as its handling starts and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome
from relay.sources.poller import Limits, Poller


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the test reads it


async def main(queue_name: str, seconds: float) -> None:
    async def handle(message: Message) -> Outcome:
        say("start", message.body.decode())
        await asyncio.sleep(seconds)
        say("end", message.body.decode())
        return Delivered()

    async with open_session() as session, open_queue(session, queue_name) as queue:
        poller = Poller(queue, handle, limits=Limits(wait=1, drain=2))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, poller.stop)
        await poller.run()
    say("left", os.getpid())


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
