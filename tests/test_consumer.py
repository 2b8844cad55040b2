"""The Python API, as a stranger would use it, mistakes included."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import relay
from relay import Consumer, Delivered, Handler, Limits, Message, Outcome, Reject, Retry, connect
from relay.aws.session import open_session
from relay.local.sqs import SqsServer
from relay.local.sqs.stored import Stored
from relay.model.origin import unpack

PATIENCE = 20.0


class World:
    """An embedded SQS with the queue `orders` and a dead-letter queue, and a client of it."""

    def __init__(self, server: SqsServer, client: Any) -> None:
        self.server = server
        self._client = client

    async def send(self, *bodies: str, origin: str | None = None) -> None:
        attribute = {"DataType": "String", "StringValue": origin}
        attributes = {} if origin is None else {"relay-origin": attribute}
        for body in bodies:
            await self._client.send_message(
                QueueUrl=self._url("orders"), MessageBody=body, MessageAttributes=attributes
            )

    def bodies(self, queue: str) -> list[str]:
        return [stored.body for stored in self.server.queues[queue].messages()]

    def dead_letters(self) -> list[Stored]:
        return list(self.server.queues["orders-dlq"].messages())

    async def delete(self, queue: str) -> None:
        await self._client.delete_queue(QueueUrl=self._url(queue))

    def _url(self, name: str) -> str:
        return f"{self.server.url}/000000000000/{name}"


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with SqsServer(port=0) as server:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        async with open_session() as session:
            client = await session.client("sqs")
            for name in ("orders", "orders-dlq"):
                await client.create_queue(QueueName=name)
            yield World(server, client)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition is at another socket's end
            await asyncio.sleep(0.005)


@asynccontextmanager
async def consuming(handle: Any, *, dead_letter_queue: str | None = None) -> AsyncIterator[None]:
    async with connect("orders", dead_letter_queue=dead_letter_queue) as connection:
        consumer = Consumer(connection, handle)
        running = asyncio.create_task(consumer.run())
        try:
            yield
        finally:
            consumer.stop()
            consumer.stop()
            await running


async def test_a_delivered_message_is_deleted_and_one_to_be_retried_comes_again(
    world: World,
) -> None:
    seen: list[bytes] = []

    async def handle(message: Message) -> Outcome:
        seen.append(message.body)
        return Delivered() if seen.count(message.body) == 2 else Retry(after=0)

    await world.send("one")
    async with consuming(handle):
        await until(lambda: not world.bodies("orders"))
    assert seen == [b"one", b"one"]


async def nothing(_: Message) -> None:
    return


async def truth(_: Message) -> bool:
    return True


async def bare_class(_: Message) -> type[Delivered]:
    return Delivered


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (nothing, "nothing returned None"),
        (truth, "truth returned True"),
        (bare_class, "bare_class returned the class Delivered without parentheses"),
    ],
)
async def test_what_is_not_an_outcome_is_logged_with_the_handlers_name_and_never_deletes(
    world: World, caplog: pytest.LogCaptureFixture, handle: Any, words: str
) -> None:
    await world.send("one")
    with caplog.at_level(logging.ERROR):
        async with consuming(handle):
            await until(lambda: caplog.messages)
    assert words in caplog.messages[0]
    assert "is retried" in caplog.messages[0]
    assert world.bodies("orders") == ["one"]


async def test_an_exception_is_logged_with_the_handlers_name_and_never_deletes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(_: Message) -> Outcome:
        raise RuntimeError("no")

    await world.send("one")
    async with consuming(failing):
        await until(lambda: caplog.messages)
    assert "failing raised" in caplog.messages[0]
    assert world.bodies("orders") == ["one"]


def test_a_handler_that_is_not_async_is_refused() -> None:
    def handle(_: Message) -> Outcome:
        return Delivered()

    with pytest.raises(TypeError, match=r"handle is not an async function: define it with"):
        Consumer(None, handle)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [-5, float("inf"), float("nan")])
def test_a_pause_that_cannot_be_is_refused(after: float) -> None:
    with pytest.raises(ValueError, match="give the seconds to wait, 0 or more"):
        Retry(after=after)


async def test_a_rejected_message_is_deleted_where_no_queue_keeps_it_and_the_log_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(_: Message) -> Outcome:
        return Reject("not_an_order", "there is no number")

    await world.send("one")
    async with consuming(handle):
        await until(lambda: not world.bodies("orders"))
    assert "is deleted: there is no number (not_an_order)" in caplog.text


async def test_a_rejected_message_is_kept_with_its_reason_by_one_argument(world: World) -> None:
    async def handle(_: Message) -> Outcome:
        return Reject("not_an_order", "there is no number")

    await world.send("one")
    async with consuming(handle, dead_letter_queue="orders-dlq"):
        await until(lambda: not world.bodies("orders"))
    (dead,) = world.dead_letters()
    assert dead.body == "one"
    origin = unpack(dead.attributes["relay-origin"].string_value or "")
    assert (origin.code, origin.reason, origin.source) == (
        "not_an_order",
        "there is no number",
        "orders",
    )


async def test_a_dead_letter_says_that_the_message_may_have_run(world: World) -> None:
    async def handle(_: Message) -> Outcome:
        return Reject("fails", "no answer", may_have_run=True)

    await world.send("one")
    async with consuming(handle, dead_letter_queue="orders-dlq"):
        await until(lambda: not world.bodies("orders"))
    (dead,) = world.dead_letters()
    assert unpack(dead.attributes["relay-origin"].string_value or "").may_have_run


async def test_a_dead_letter_says_that_an_unreadable_origin_was_lost(world: World) -> None:
    async def handle(_: Message) -> Outcome:
        return Reject("not_an_order", "there is no number")

    await world.send("one", origin="not JSON")
    async with consuming(handle, dead_letter_queue="orders-dlq"):
        await until(lambda: not world.bodies("orders"))
    (dead,) = world.dead_letters()
    origin = unpack(dead.attributes["relay-origin"].string_value or "")
    assert (origin.may_have_run, origin.lost) == (True, ("relay-origin",))


async def test_a_rejected_message_stays_while_the_dead_letter_queue_is_gone(world: World) -> None:
    rejected = asyncio.Event()

    async def handle(_: Message) -> Outcome:
        rejected.set()
        return Reject("not_an_order", "there is no number")

    await world.send("one")
    async with connect("orders", dead_letter_queue="orders-dlq") as connection:
        await world.delete("orders-dlq")
        consumer = Consumer(connection, handle)
        running = asyncio.create_task(consumer.run())
        await rejected.wait()
        consumer.stop()
        consumer.stop()
        await running
    assert world.bodies("orders") == ["one"]


@pytest.mark.parametrize("queue", ["nowhere", "orders"])
async def test_a_queue_that_does_not_exist_is_a_sentence_and_not_a_traceback(
    world: World, queue: str
) -> None:
    dead = None if queue == "nowhere" else "nowhere"
    code = f"""
from relay import Delivered, run

async def handle(message):
    return Delivered()

run({queue!r}, handle, dead_letter_queue={dead!r})
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    (line,) = err.decode().splitlines()
    assert line.startswith("relay: ")
    assert "nowhere" in line


async def test_a_program_consumes_until_it_is_told_to_stop(world: World) -> None:
    code = """
from relay import Delivered, run

async def handle(message):
    print(message.body.decode(), flush=True)
    return Delivered()

run("orders", handle)
"""
    await world.send(json.dumps({"n": 1}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b'{"n": 1}\n'
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert not world.bodies("orders")


def test_the_type_of_a_handler_is_public() -> None:
    async def handle(_: Message) -> Outcome:
        return Delivered()

    typed: Handler = handle
    assert typed is handle


DOCUMENT = (Path(__file__).parents[1] / "docs" / "python.md").read_text()


async def test_the_documented_program_runs_as_it_stands(world: World) -> None:
    code = (
        DOCUMENT.split("<!-- test: python-consumer -->")[1].split("```")[1].removeprefix("python")
    )
    await world.send("one")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", code), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).endswith(b" b'one'\n")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert not world.bodies("orders")


def _tables() -> set[str]:
    return set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"(?m)^\|([^|]+)\|", DOCUMENT))))


@pytest.mark.parametrize("kind", [Limits, Message])
def test_every_field_is_documented(kind: type) -> None:
    assert set(inspect.signature(kind).parameters) <= _tables()


def test_the_public_names_are_documented_and_no_others() -> None:
    assert set(relay.__all__) == set(re.findall(r"`(\w+)`", DOCUMENT.split("any\nrelease.")[1]))
    assert all(getattr(relay, name) for name in relay.__all__)
