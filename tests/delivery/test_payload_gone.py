"""Large payloads in the handler: missing objects, and memory while messages are held."""

from __future__ import annotations

import json

import pytest

from relay.delivery.payloads import POINTER_CLASSES, NotFetched, Payloads
from relay.delivery.reject_guard import MIN_REJECTS
from relay.model.message import Message
from relay.model.outcome import Delivered, Retry
from tests.delivery.handler_rig import HandlerRig, event, message, origin


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


async def test_the_payload_of_a_message_held_by_the_guard_is_not_fetched_again() -> None:
    fetched: list[str] = []

    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        fetched.append(key)
        return b"nonsense" if key == "bad" else json.dumps(event()).encode()

    rig = HandlerRig(payloads=Payloads(fetch, buckets=frozenset({"large"}), concurrency=1))
    for receive in (1, 2, 3):
        for n in range(2 * MIN_REJECTS):
            await rig.handler.handle(pointing("bad", f"m-{n}", receive_count=receive))
    assert rig.handler.status.problem is not None
    assert len(fetched) == 2 * MIN_REJECTS + 1  # one is tried again, as a probe
    assert isinstance(await rig.handler.handle(pointing("good", "good")), Delivered)
