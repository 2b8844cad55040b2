"""Runs the SQS server until SIGTERM or SIGINT: `python -m relay.local.sqs`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from relay.local.sqs.server import ACCOUNT, PORT, REGION, SqsServer


async def serve(host: str, port: int, region: str, account: str) -> None:
    """Serve until SIGTERM or SIGINT; the first line on stdout is the URL."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with SqsServer(host=host, port=port, region=region, account=account) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m relay.local.sqs", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT, help="0 for any free port")
    parser.add_argument("--region", default=REGION)
    parser.add_argument("--account", default=ACCOUNT)
    asyncio.run(serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
