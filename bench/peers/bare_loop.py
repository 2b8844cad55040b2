"""Bare loops over a dead-letter queue with the relay's own client, for the cost of the tools.

    python -m bench.peers.bare_loop look|redrive DEAD MAIN

`look` receives ten at a time until none is left, and makes them visible again. `redrive` sends each
ten to the other queue and deletes them. Neither reads, filters, backs up or records anything.
"""

from __future__ import annotations

import asyncio
import sys

from relay.aws.session import open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import Outgoing

LEASE = 600.0


async def look(dead: Queue) -> None:
    """Receive all messages, keep them, and make them visible again."""
    kept = []
    while found := await dead.receive(wait=0, visibility=LEASE):
        kept += found
    for start in range(0, len(kept), 10):
        await dead.change_visibility([(one.handle, 0.0) for one in kept[start : start + 10]])


async def redrive(dead: Queue, main: Queue) -> None:
    """Receive ten, send ten, delete ten, until a receive is empty."""
    while found := await dead.receive(wait=0, visibility=LEASE):
        await main.send(
            [
                Outgoing(body=one.message.body.decode(), attributes=one.message.attributes)
                for one in found
            ]
        )
        await dead.delete([one.handle for one in found])


async def main(kind: str, dead_url: str, main_url: str) -> None:
    """Run one of the loops."""
    async with (
        open_session() as session,
        open_queue(session, dead_url) as dead,
        open_queue(session, main_url) as queue,
    ):
        await (look(dead) if kind == "look" else redrive(dead, queue))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
