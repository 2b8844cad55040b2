"""Large payloads in the handler: missing objects, and memory while messages are held."""

from __future__ import annotations

import asyncio
import json

import pytest

from relay.delivery.payloads import POINTER_CLASSES, NotFetched, Payloads
from relay.delivery.reject_guard import MIN_REJECTS
from relay.model.message import Message
from relay.model.outcome import Delivered, Retry
from tests.delivery.handler_rig import HandlerRig, event, message, origin, turns


def pointing(key: str = "k", message_id: str = "m-1", receive_count: int = 1) -> Message:
    """A message whose body is the object of this key."""
    body = [POINTER_CLASSES[0], {"s3BucketName": "large", "s3Key": key}]
    return message(body, message_id, receive_count=receive_count)


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_a_missing_payload_may_have_run_if_another_process_received_it(
    receives: int, doubtful: bool
) -> None:
    async def gone(bucket: str, key: str, limit: int) -> bytes:
        raise NotFetched("there is no such object", "payload_missing")

    rig = HandlerRig(payloads=Payloads(gone, buckets=frozenset({"large"})))
    await rig.handler.handle(pointing(receive_count=receives))
    assert origin(rig.store.copies[0]).may_have_run is doubtful


async def test_a_payload_that_goes_missing_after_an_unknown_end_may_have_run() -> None:
    stored = [json.dumps(event()).encode()]

    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        if not stored:
            raise NotFetched("there is no such object", "payload_missing")
        return stored.pop()

    rig = HandlerRig(
        {"m-1": Retry("no answer")}, payloads=Payloads(fetch, buckets=frozenset({"large"}))
    )
    rig.forwarder.ambiguous.add("m-1")
    assert isinstance(await rig.handler.handle(pointing()), Retry)
    await rig.handler.handle(pointing(receive_count=2))
    assert origin(rig.store.copies[0]).may_have_run


async def test_a_message_held_by_the_guard_keeps_no_payload_in_memory() -> None:
    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        return b"nonsense" if key == "bad" else json.dumps(event()).encode()

    rig = HandlerRig(payloads=Payloads(fetch, buckets=frozenset({"large"}), concurrency=1))

    flood = [
        asyncio.create_task(rig.handler.handle(pointing("bad", f"m-{n}")))
        for n in range(2 * MIN_REJECTS)
    ]
    await turns(800)
    assert rig.handler.status.problem is not None
    good = asyncio.create_task(rig.handler.handle(pointing("good", "good")))
    await turns(800)
    assert good.done()
    for one in flood:
        one.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert isinstance(await good, Delivered)
