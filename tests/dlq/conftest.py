"""Queues with dead letters on a local SQS, and the command line beside it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from relay.aws.session import Session, open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.values import Outgoing, Sent
from relay.cli import application
from relay.local.clock import ManualClock
from relay.local.sqs import Fault, Request, SqsServer, Stored
from relay.message import Attribute
from relay.origin import ATTRIBUTE, Origin

QUICK = ("--wait", "0")


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


Relay = Callable[..., Awaitable[Ended]]


def event(number: int = 0, **more: Any) -> str:
    """An event with nothing but a name, so that its id hangs on its message."""
    fields = {"name": "shop/order", "data": {"number": number}, **more}
    return msgspec.json.encode(fields).decode()


def noted(message_id: str, **more: Any) -> dict[str, Attribute]:
    """Our attribute, as a relay put it on its copy."""
    fields = {"hops": 1, "source": "main", "code": "fails_alone", "reason": "it failed", **more}
    return {ATTRIBUTE: Attribute("String", Origin(id=message_id, **fields).pack())}


@dataclass
class Place:
    """The queues `main` and `dead`, and FIFO ones, each with the other as its dead-letter queue."""

    sqs: SqsServer
    clock: ManualClock
    session: Session
    stack: AsyncExitStack
    opened: dict[str, Queue] = field(default_factory=dict)
    hook: Callable[[Request], Fault | None] | None = None
    """Asked about each request before it is carried out, before any scripted fault is."""

    def make(self, name: str, dead: str | None = None, **attributes: str) -> None:
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        if dead is not None:
            policy = {"deadLetterTargetArn": self.sqs.queues[dead].arn, "maxReceiveCount": 1}
            attributes["RedrivePolicy"] = msgspec.json.encode(policy).decode()
        self.sqs.account.create(name, attributes, {})

    async def queue(self, name: str) -> Queue:
        if name not in self.opened:
            opening = open_queue(self.session, name)
            self.opened[name] = await self.stack.enter_async_context(opening)
        return self.opened[name]

    async def send(self, name: str, *bodies: str, **options: Any) -> list[str]:
        """Send as a producer does, or as a relay that dead-letters; the MessageIds."""
        queue = await self.queue(name)
        if queue.fifo:
            options.setdefault("group_id", "g")
        sent = []
        for index, body in enumerate(bodies):
            dedup = f"{name}-{index}-{body}"[:120] if queue.fifo else None
            [result] = await queue.send([Outgoing(body=body, dedup_id=dedup, **options)])
            assert isinstance(result, Sent)
            sent.append(result.message_id)
        return sent

    async def bury(self, name: str = "main") -> None:
        """Let SQS dead-letter everything in a queue whose policy allows one receive."""
        queue = await self.queue(name)
        while await queue.receive(wait=0, visibility=0):
            pass

    def stored(self, name: str) -> tuple[Stored, ...]:
        return self.sqs.queues[name].messages()

    def bodies(self, name: str) -> list[str]:
        return [stored.body for stored in self.stored(name)]

    def origins(self, name: str) -> list[dict[str, Any]]:
        """What our attribute says on each message."""
        return [
            msgspec.json.decode(stored.attributes[ATTRIBUTE].string_value or "null")
            for stored in self.stored(name)
        ]

    def visible(self, name: str) -> int:
        return self.sqs.queues[name].counts()[0]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of the commands, free of what the tests' own one may say."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))}
    kept.pop("PORT", None)
    return kept | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture
def relay(environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relay:
    """Runs `relay` in a thread, which saves loading the libraries for each test."""
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str | Path, stdin: str = "", **variables: str | None) -> Ended:
        words = [str(argument) for argument in arguments]
        absent = {name: None for name in os.environ if name not in environ}
        result = await asyncio.to_thread(
            CliRunner().invoke,
            application(words),
            words,
            input=stdin.encode(),
            env={**absent, **environ, **variables},
            prog_name="relay",
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
async def place(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    clock = ManualClock()
    places: list[Place] = []

    def hooked(request: Request) -> Fault | None:
        return places[0].hook(request) if places and places[0].hook else None

    async with SqsServer(clock=clock, faults=hooked) as sqs:
        environ["AWS_ENDPOINT_URL"] = sqs.url
        for name, value in environ.items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        async with open_session() as session, AsyncExitStack() as stack:
            place = Place(sqs, clock, session, stack)
            places.append(place)
            place.make("dead", MessageRetentionPeriod="1209600")
            place.make("main", "dead")
            place.make("dead.fifo")
            place.make("main.fifo", "dead.fifo")
            environ["RELAY_QUEUE_URL"] = "main"
            yield place
