"""The example's commands: `python -m sermons serve | up | say | story`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

import uvicorn
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types

from relay.local.processes import RelayFailed
from sermons import media, tracing
from sermons.functions import Options
from sermons.story.application import Failed
from sermons.story.outage import Plot, Story, StoryTimeout
from sermons.story.servers import RealInngest, Servers, Settings, servers
from sermons.texts import Script, slug
from sermons.uploads import Uploader
from sermons.web import application

PORT = 8000
SQS_PORT = 9324
INNGEST_PORT = 8288
VOICE = "en-us+f2"


def main() -> int:
    """Run a command; its exit code."""
    arguments = _parser().parse_args()
    uploads = arguments.run not in (_serve, _up)
    try:
        with tracing.exporting("uploads") if uploads else contextlib.nullcontext():
            return int(arguments.run(arguments))
    except (Failed, RelayFailed, StoryTimeout, media.ToolFailed, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(arguments: argparse.Namespace) -> int:
    if missing := media.missing():
        raise ValueError(f"{' and '.join(missing)} must be installed: apt-get install ffmpeg")
    options = Options(processors=arguments.processors, remind_after=arguments.remind_after)
    with tracing.exporting("sermons"):
        web = application(arguments.data, options)
        uvicorn.run(web, host="127.0.0.1", port=arguments.port, log_level="warning")
    return 0


def _up(arguments: argparse.Namespace) -> int:
    async def run() -> int:
        directory = arguments.directory
        directory.mkdir(parents=True, exist_ok=True)
        settings = Settings(
            directory=directory,
            real=_real(arguments.real),
            port=arguments.port,
            sqs_port=SQS_PORT,
            inngest_port=INNGEST_PORT,
            processors=arguments.processors,
            remind_after=60.0,
        )
        async with servers(settings, _say) as running:
            _say(f"The page: {running.url}  Ctrl-C stops everything.")
            await _stopped()
        return 0

    return asyncio.run(run())


def _story(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="sermons-", ignore_cleanup_errors=True) as directory:
        return asyncio.run(_tell(arguments, Path(directory)))


async def _tell(arguments: argparse.Namespace, directory: Path) -> int:
    settings = Settings(
        directory=directory,
        real=_real(arguments.real),
        port=arguments.port,
        processors=arguments.processors,
    )
    where = arguments.real or "the embedded event API"
    async with servers(settings, _say) as running:
        _say(f"The orchestrator is {where}. The page: {running.url}")
        story = Story(Plot(sermons=arguments.sermons, limit=arguments.limit), running, _say)
        result = await story.tell()
        _say(f"\nThe records {'agree' if result.consistent else 'do NOT agree'}:")
        _say(result.table())
        _say(result.summary(story.seconds))
        await _stay(arguments, running)
    return 0 if result.consistent else 1


async def _stay(arguments: argparse.Namespace, running: Servers) -> None:
    if arguments.stay:
        _say(f"\nThe page stays at {running.url} until Ctrl-C.")
        await _stopped()


def _real(url: str) -> RealInngest | None:
    """The server at an address, with the keys of `inngest start` out of the SDK's own variables."""
    if not url:
        return None
    event_key, signing_key = (
        os.environ.get(f"INNGEST_{name}", "") for name in ("EVENT_KEY", "SIGNING_KEY")
    )
    if signing_key and not event_key:
        raise ValueError("INNGEST_SIGNING_KEY is set and INNGEST_EVENT_KEY is not: set both")
    return RealInngest(url=url, event_key=event_key, signing_key=signing_key)


def _say_words(arguments: argparse.Namespace) -> int:
    async def run() -> int:
        script = Script(
            slug=slug(arguments.title),
            title=arguments.title,
            words=arguments.words,
            voice=VOICE,
        )
        session = AioSession().create_client(
            "sqs",
            endpoint_url=f"http://127.0.0.1:{SQS_PORT}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - the local SQS accepts any
            config=AioConfig(retries={"total_max_attempts": 1}),
        )
        async with session as sqs:
            queue = await sqs.get_queue_url(QueueName="relay")
            bucket = arguments.directory / "data" / "bucket"
            event_id = await Uploader(sqs, queue["QueueUrl"], bucket).speak(script)
        _say(f"Uploaded. The event: {event_id}")
        _say(f"The sermon: http://127.0.0.1:{PORT}/sermons/{script.slug}")
        return 0

    return asyncio.run(run())


async def _stopped() -> None:
    """Wait for SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with contextlib.suppress(asyncio.CancelledError):
        await stop.wait()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sermons", description=__doc__)
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve", help="the application alone, for any Inngest server")
    serve.add_argument("--data", type=Path, required=True)
    serve.add_argument("--remind-after", type=float, default=Options.remind_after)
    up = commands.add_parser("up", help="queue, relay, orchestrator and application, until Ctrl-C")
    say = commands.add_parser("say", help="have words read aloud, and upload them to `up`")
    say.add_argument("title")
    say.add_argument("words")
    story = commands.add_parser("story", help="fifty uploads through an outage")
    story.add_argument("--sermons", type=int, default=Plot.sermons)
    limit = "seconds without any progress"
    story.add_argument("--limit", type=float, default=Plot.limit, help=limit)
    story.add_argument("--stay", action="store_true", help="keep the page afterwards")
    for command in (up, say):
        command.add_argument("--directory", type=Path, default=Path("build"))
    for command in (up, story):
        command.add_argument("--real", default="", metavar="URL", help="a real Inngest server")
    for command, port in ((serve, PORT), (up, PORT), (story, 0)):
        command.add_argument("--port", type=int, default=port)
        command.add_argument("--processors", type=int, default=Options.processors)
    for command, run in ((serve, _serve), (up, _up), (say, _say_words), (story, _story)):
        command.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
