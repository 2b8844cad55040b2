"""A poller whose queue answers with other JSON than SQS's: it goes on receiving afterwards."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from relay.aws.json_protocol import open_json_client
from relay.aws.session import open_session
from relay.aws.sqs import Queue
from relay.sources.poller import Limits, Poller
from tests.destinations.wire import Wire, listening
from tests.mutations import RAW
from tests.sources.poller.rig import Rig

LISTS: tuple[Any, ...] = (
    None,
    7,
    True,
    "text",
    {},
    {"a": 1},
    [None],
    [7],
    [[]],
    [{}],
    [{"Id": []}],
)
ANSWERS: dict[str, tuple[bytes, ...]] = {
    "ReceiveMessage": (
        *RAW,
        *(json.dumps({"Messages": other}).encode() for other in LISTS),
    ),
    "DeleteMessageBatch": (
        *RAW,
        *(
            json.dumps({name: other}).encode()
            for name in ("Successful", "Failed")
            for other in LISTS
        ),
    ),
    "GetQueueAttributes": (
        *RAW,
        b'{"Attributes": 7}',
        b'{"Attributes": {"MaximumMessageSize": "0"}}',
        b'{"Attributes": {"MessageRetentionPeriod": "nan"}}',
        b'{"Attributes": {"VisibilityTimeout": {}}}',
    ),
}


class Garbling:
    """Stands before a queue, and answers the first calls of an action with other bodies."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.answers: dict[str, list[bytes]] = {}

    async def behave(
        self, _wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        behind, to = await asyncio.open_connection(self.target.hostname, self.target.port)
        try:
            while True:
                head, body = await _read(reader)
                action = head.lower().partition(b"amazonsqs.")[2].partition(b"\r\n")[0].decode()
                waiting = self.answers.get(action)
                if waiting:
                    answer = waiting.pop(0)
                    writer.write(b"HTTP/1.1 200 X\r\ncontent-length: %d\r\n\r\n" % len(answer))
                    writer.write(answer)
                else:
                    to.write(head + body)
                    writer.writelines(await _read(behind))
                await writer.drain()
        finally:
            to.close()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head, await reader.readexactly(int(length or 0))


@pytest.mark.parametrize("action", list(ANSWERS))
async def test_the_poller_goes_on_after_any_answer(rig: Rig, action: str) -> None:
    await rig.send(["before", "after"])
    garbling = Garbling(rig.server.url)
    async with (
        listening(behave=garbling.behave) as wire,
        open_session() as session,
        open_json_client(session, wire.url, "us-east-1") as client,
    ):
        waiting = garbling.answers[action.lower()] = list(ANSWERS[action])
        queue = Queue(client, rig.queue.url, rig.queue.arn)
        clock = rig.clock
        poller = Poller(
            queue, rig.handler, limits=Limits(linger=0.0), clock=clock.time, sleep=clock.sleep
        )
        running = asyncio.create_task(poller.run())
        await rig.pass_time(lambda: running.done() or not (rig.states or waiting), step=5.0)
        assert not running.done()
        await rig.send(["later"])
        await rig.pass_time(lambda: running.done() or not rig.states, step=5.0)
        assert not running.done()
        poller.stop()
        await rig.pass_time(running.done)
        await running
    assert set(rig.handler.started) == {"before", "after", "later"}
