"""The poller on moto's server, as far as moto goes, in real time."""

from __future__ import annotations

import asyncio

import pytest

from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.aws.sqs_values import Outgoing
from relay.model.outcome import Reject, Retry
from relay.sources.poller import Limits, Poller
from tests.sources.poller.rig import Script, until


@pytest.fixture
def on_moto(moto: str, aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_ENDPOINT_URL_SQS", moto)


@pytest.mark.parametrize("suffix", ["", ".fifo"])
@pytest.mark.usefixtures("on_moto")
async def test_messages_are_delivered_rejected_retried_and_released(suffix: str) -> None:
    async with open_session() as session:
        client = await session.client("sqs")
        kind = {"FifoQueue": "true"} if suffix else {}
        await client.create_queue(QueueName=f"main{suffix}", Attributes=kind)
        async with open_queue(session, f"main{suffix}") as queue:
            handler = Script()
            handler.answers = {"m0": Reject("bad", "It is bad."), "m1": Retry("wait", after=1)}
            handler.hold("m9")
            await queue.send(
                [
                    Outgoing(
                        body=f"m{i}",
                        group_id=f"g{i}" if suffix else None,
                        dedup_id=f"d{i}" if suffix else None,
                    )
                    for i in range(10)
                ]
            )
            poller = Poller(queue, handler, limits=Limits(wait=1))
            run = asyncio.create_task(poller.run())
            await until(lambda: handler.started.count("m1") == 2)
            await until(lambda: poller.status.in_flight <= 2)
            poller.stop()
            poller.stop()
            await run
            assert set(handler.started) == {f"m{i}" for i in range(10)}
            (released,) = await queue.receive(wait=0)
            assert released.message.body == b"m9"
