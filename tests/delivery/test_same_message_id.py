"""Two messages with one MessageId: in push mode another local process may post under any."""

from __future__ import annotations

import asyncio
import logging

import pytest

from relay.delivery.message_ids import MessageIds
from relay.model.message import Attribute, Message
from relay.model.outcome import Delivered, Reject
from tests.delivery.handler_rig import DAY, NOW, HandlerRig, event, message, turns


async def test_a_message_in_flight_answers_for_no_other_with_its_message_id() -> None:
    rig = HandlerRig({"m-1": None})
    forged = asyncio.create_task(rig.handler.handle(message(event(name="forged/x"))))
    await turns()
    real = message(event(name="real/x"))
    outcome = await asyncio.wait_for(rig.handler.handle(real), 5)
    assert isinstance(outcome, Delivered)
    assert not forged.done()
    assert len(rig.forwarder.sent) == 2
    forged.cancel()


async def test_the_end_of_a_hold_ends_the_wait_of_its_own_message_only() -> None:
    rig = HandlerRig()
    rig.forwarder.silent = True
    forged = asyncio.create_task(rig.handler.handle(message(event(name="forged/x"), sent_at=NOW)))
    await turns()
    real = message(event(name="real/x"), sent_at=NOW - 9 * DAY)
    waiting = asyncio.create_task(rig.handler.handle(real))
    await turns()
    assert rig.handler.end_wait(real)
    await turns()
    assert not forged.done()
    assert isinstance(await asyncio.wait_for(waiting, 5), Reject)
    forged.cancel()


async def test_its_event_does_not_get_the_id_that_the_other_has_used() -> None:
    rig = HandlerRig()
    await rig.handler.handle(message(event(name="forged/x")))
    real = message(event(name="real/x"))
    await rig.handler.handle(real)
    await rig.handler.handle(real)
    first, second, repeated = rig.forwarder.sent
    assert first == "m-1"
    assert second == repeated
    assert second.startswith("m-1-")


async def test_an_own_id_stays_what_it_is() -> None:
    rig = HandlerRig()
    await rig.handler.handle(message(event(id="own", name="forged/x")))
    await rig.handler.handle(message(event(id="own", name="real/x")))
    assert rig.forwarder.sent == ["own", "own"]


async def test_a_dead_letter_does_not_acknowledge_another_message_with_its_message_id() -> None:
    rig = HandlerRig()
    assert isinstance(await rig.handler.handle(message(b"poison")), Reject)
    assert isinstance(await rig.handler.handle(message(event())), Delivered)
    assert isinstance(await rig.handler.handle(message(b"poison")), Reject)
    assert len(rig.store.copies) == 1
    assert len(rig.forwarder.sent) == 1


@pytest.mark.parametrize(
    "other",
    [
        message(event(), attributes={"tenant": Attribute("String", "b")}),
        message(event(), attributes={"tenan": Attribute("String", "ta")}),
        message(event()),
        Message(
            body=message(event()).body,
            message_id="m-1",
            queue="other",
            attributes={"tenant": Attribute("String", "a")},
        ),
    ],
)
async def test_attributes_and_queue_belong_to_a_message(other: Message) -> None:
    rig = HandlerRig({"m-1": None})
    first = message(event(), attributes={"tenant": Attribute("String", "a")})
    waiting = asyncio.create_task(rig.handler.handle(first))
    await turns()
    assert isinstance(await asyncio.wait_for(rig.handler.handle(other), 5), Delivered)
    waiting.cancel()


async def test_a_redelivery_of_the_same_message_joins_whatever_else_uses_its_message_id() -> None:
    rig = HandlerRig({"m-1": None})
    real = message(event(), attributes={"tenant": Attribute("String", "a")})
    waiting = [asyncio.create_task(rig.handler.handle(real))]
    await turns()
    await asyncio.wait_for(rig.handler.handle(message(event(name="forged/x"))), 5)
    again = message(event(), receive_count=2, attributes={"tenant": Attribute("String", "a")})
    waiting.append(asyncio.create_task(rig.handler.handle(again)))
    await turns()
    assert rig.forwarder.sent.count("m-1") == 1
    for task in waiting:
        task.cancel()


async def test_a_message_in_flight_is_compared_even_if_its_message_id_was_forgotten() -> None:
    ids = MessageIds(limit=1)
    forged, real = message(event(name="forged/x")), message(event(name="real/x"))
    assert ids.distinct(forged, None) is forged
    ids.distinct(message(event(), "flood"), None)
    assert ids.distinct(real, forged).message_id != "m-1"
    assert ids.distinct(forged, forged) is forged


async def test_a_dead_letter_is_compared_by_its_content() -> None:
    rig = HandlerRig()
    poison = message(b"poison")
    await rig.handler.handle(poison)
    assert rig.dead_letters.recent(poison) is not None
    assert rig.dead_letters.recent(message(event())) is None


async def test_the_log_says_that_a_message_id_was_used_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = HandlerRig()
    with caplog.at_level(logging.WARNING):
        await rig.handler.handle(message(event(name="forged/x")))
        await rig.handler.handle(message(event(name="real/x")))
    (record,) = [one for one in caplog.records if getattr(one, "code", "") == "message_id_reused"]
    assert record.__dict__["message_id"] == "m-1"
    assert "another local process" in record.getMessage()
