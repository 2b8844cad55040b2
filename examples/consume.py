"""A consumer with the poller as a library: prints each order of a queue once it is paid.

Run it with the queue's URL, ARN or name. Stop it with Ctrl-C or SIGTERM:

    AWS_REGION=eu-west-1 python examples/consume.py orders
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

from relay import Poller
from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.sources.poller import Limits


async def handle(message: Message) -> Outcome:
    """Return the message's outcome. It may be delivered again, so this must be idempotent."""
    try:
        order: dict[str, Any] = json.loads(message.body)
        number, paid = order["number"], order["paid"]
    except (ValueError, TypeError, KeyError):
        # Reject deletes the message. Keep a copy first if you need one; `relay poll` does.
        return Reject("not_an_order", "the message is not an order with `number` and `paid`")
    if not paid:
        return Retry("not paid yet", after=60)
    sys.stdout.write(f"order {number}\n")
    sys.stdout.flush()
    return Delivered()


async def main(reference: str) -> None:
    """Consume until a signal; a second one stops at once."""
    async with open_session() as session, open_queue(session, reference) as queue:
        poller = Poller(queue, handle, limits=Limits(max_in_flight=100, drain=20))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, poller.stop)
        await poller.run()


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its one argument
        sys.exit("name the queue: python examples/consume.py orders")
    asyncio.run(main(sys.argv[1]))
