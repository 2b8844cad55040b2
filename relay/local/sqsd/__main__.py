"""Runs the daemon: `python -m relay.local.sqsd --queue-url URL --target URL`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from relay.local.sqsd import CronTask, Sqsd, SqsdOptions, cron_tasks
from relay.output.terminal import echo


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then drain. The exit code: 0, or 2 for a wrong option."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s sqsd: %(message)s")
    try:
        daemon = Sqsd(
            options.queue_url,
            options.target,
            SqsdOptions.parse(options.option),
            cron=_cron(options.cron),
            endpoint_url=options.endpoint_url or _origin(options.queue_url),
            region=options.region,
        )
    except (ValueError, OSError) as error:
        echo(f"sqsd: {error}", err=True)
        return 2
    echo(f"posting messages of {options.queue_url} to {options.target}")
    asyncio.run(_serve(daemon))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m relay.local.sqsd", description=__doc__)
    parser.add_argument("--queue-url", required=True, help="the queue to serve")
    parser.add_argument("--target", default="http://127.0.0.1:8000", help="the application")
    parser.add_argument("--endpoint-url", help="where a local SQS listens (default: the queue's)")
    parser.add_argument("--region", default="us-east-1", help="the queue's region")
    parser.add_argument("--cron", type=Path, metavar="FILE", help="cron.yaml, written as JSON")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option by Elastic Beanstalk's name, HttpConnections=10 for instance; repeatable",
    )
    return parser


def _cron(file: Path | None) -> tuple[CronTask, ...]:
    return () if file is None else cron_tasks(json.loads(file.read_text(encoding="utf-8")))


def _origin(queue_url: str) -> str | None:
    """The endpoint of a local queue, taken from its URL; None for AWS."""
    scheme, _, rest = queue_url.partition("://")
    host = rest.partition("/")[0]
    return None if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else f"{scheme}://{host}"


async def _serve(daemon: Sqsd) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        # A second signal skips the drain.
        if stop.is_set():
            daemon.kill()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await daemon.run(stop)


if __name__ == "__main__":
    sys.exit(main())
