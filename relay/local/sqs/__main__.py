"""Runs the SQS server until SIGTERM or SIGINT: `python -m relay.local.sqs`."""

from __future__ import annotations

import argparse
import asyncio
import signal

from relay.local.sqs.account import DEFAULTS, Limits
from relay.local.sqs.errors import SqsError
from relay.local.sqs.queue_pair import create_pair
from relay.local.sqs.server import ACCOUNT, PORT, REGION, SqsServer
from relay.output.terminal import echo


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; the first line on stdout is the URL.

    Raises:
        SqsError: a queue cannot have this name.
    """
    limits = Limits(purge_pause=options.purge_pause, recreate_pause=options.recreate_pause)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with SqsServer(
        host=options.host,
        port=options.port,
        region=options.region,
        account=options.account,
        limits=limits,
    ) as server:
        for name in options.queue:
            create_pair(server.account, name)
        echo(server.url)
        await stop.wait()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m relay.local.sqs", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT, help="0 for any free port")
    parser.add_argument("--region", default=REGION)
    parser.add_argument("--account", default=ACCOUNT)
    parser.add_argument(
        "--purge-pause",
        type=float,
        default=DEFAULTS.purge_pause,
        help="seconds between two purges of a queue; 0 allows any",
    )
    parser.add_argument(
        "--recreate-pause",
        type=float,
        default=DEFAULTS.recreate_pause,
        help="seconds until the name of a deleted queue is free, 60 on AWS",
    )
    parser.add_argument(
        "--queue",
        metavar="NAME",
        action="append",
        default=[],
        help="create this queue and NAME-dlq, its dead-letter queue; repeatable",
    )
    try:
        asyncio.run(serve(parser.parse_args()))
    except SqsError as error:
        parser.error(f"--queue: {error}")


if __name__ == "__main__":
    main()
