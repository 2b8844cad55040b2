"""A consumer of your own: writes down each order of a queue once it is paid.

Run it with the queue's URL, ARN or name; stop it with Ctrl-C or SIGTERM:

    AWS_REGION=eu-west-1 python examples/consume.py orders
"""

from __future__ import annotations

import json
import sys
from typing import Any

from relay import Delivered, Message, Outcome, Reject, Retry, run


async def handle(message: Message) -> Outcome:
    """Return what becomes of the message. It may arrive twice: handling it again must be safe."""
    try:
        order: dict[str, Any] = json.loads(message.body)
        number, paid = order["number"], order["paid"]
    except (ValueError, TypeError, KeyError):
        # Deleted, unless `run` is given a dead-letter queue that keeps it.
        return Reject("not_an_order", "the message has no order with a number and a payment")
    if not paid:
        return Retry("not paid yet", after=60)
    sys.stdout.write(f"order {number}\n")
    sys.stdout.flush()
    return Delivered()


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its one argument
        sys.exit("usage: python examples/consume.py QUEUE")
    run(sys.argv[1], handle)
