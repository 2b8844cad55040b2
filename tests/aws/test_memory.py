"""What a receive leaves in memory: the bodies of its messages, and nothing of the response."""

from __future__ import annotations

import gc
import json
import tracemalloc

import pytest

from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from tests.aws.fixed_response import answering

SIZE = 100_000
TEN = 10


def response() -> bytes:
    messages = [
        {
            "MessageId": f"m{number}",
            "ReceiptHandle": "h" * 300,
            "Body": '{"a":"\u00e4"}' + "x" * SIZE,
        }
        for number in range(TEN)
    ]
    return json.dumps({"Messages": messages}).encode()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


async def test_one_message_of_a_batch_keeps_only_its_own_body() -> None:
    async with (
        answering(200, response()) as url,
        open_session() as session,
        open_queue(session, f"{url}/1/main") as queue,
    ):
        assert len(await queue.receive()) == TEN  # what is made at the first call
        gc.collect()
        tracemalloc.start()
        try:
            received = await queue.receive()
            assert [one.message.message_id for one in received] == [f"m{n}" for n in range(TEN)]
            gc.collect()
            batch, _ = tracemalloc.get_traced_memory()
            del received[1:]
            gc.collect()
            one, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert batch < 1.1 * TEN * SIZE
    assert one < 1.5 * SIZE
