"""Redriven messages keep their ids and their origin."""

from __future__ import annotations

from relay.delivery.handler import Handler
from relay.delivery.opening import Opening
from relay.delivery.reject_guard import RejectGuard
from relay.envelope import Rules, decode
from relay.model.message import Attribute, PeriodicTask
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered, Reject
from tests.delivery.handler_rig import NOW, HandlerRig, event, message, origin


async def test_a_redriven_array_sends_only_what_was_pending_under_the_same_ids() -> None:
    rig = HandlerRig({"m-1.1": Reject("no", "never")})
    await rig.handler.handle(message([event(), event(), event()]))
    copy = rig.store.copies[0]
    rig.forwarder.answers.clear()
    rig.forwarder.sent.clear()
    redriven = message(copy.body.encode(), "m-other", attributes=dict(copy.attributes))
    assert isinstance(await rig.handler.handle(redriven), Delivered)
    assert rig.forwarder.sent == ["m-1.1"]


async def test_a_second_rejection_adds_a_hop_and_keeps_the_first_id() -> None:
    rig = HandlerRig()
    await rig.handler.handle(message(b"hello", sent_at=NOW - 9))
    first = rig.store.copies[0]
    again = message(first.body.encode(), "m-2", attributes=dict(first.attributes))
    await rig.handler.handle(again)
    past = origin(rig.store.copies[1])
    assert (past.id, past.hops, past.sent_at, past.source) == ("m-1", 2, NOW - 9, "main")


async def test_a_message_dead_lettered_undecoded_gets_its_own_id_when_redriven() -> None:
    rig = HandlerRig()
    wrong = Handler(
        Opening(lambda m: decode(m, Rules(envelope="sns"))),
        rig.forwarder,
        rig.dead_letters,
        guard=RejectGuard(),
    )
    body = {"detail-type": "order/placed", "detail": {}, "id": "eb-1", "source": "shop"}
    await wrong.handle(message(body))
    (copy,) = rig.store.copies
    again = message(copy.body.encode(), "m-2", attributes=copy.attributes)
    assert isinstance(await rig.handler.handle(again), Delivered)
    assert rig.forwarder.sent == ["eb-1"]


async def test_a_message_dead_lettered_undecoded_without_an_own_id_keeps_its_first_one() -> None:
    rig = HandlerRig({"m-1": Reject("no", "never")})
    await rig.dead_letters.put(
        message(event()), Origin(id="m-1", hops=1, undecoded=True), Reject("odd", "odd")
    )
    again = message(event(), "m-2", attributes=rig.store.copies[0].attributes)
    await rig.handler.handle(again)
    assert rig.forwarder.sent == ["m-1"]
    past = origin(rig.store.copies[1])
    assert (past.id, past.hops, past.undecoded) == ("m-1", 2, False)


async def test_a_dead_lettered_periodic_task_is_the_same_task_when_redriven() -> None:
    rig = HandlerRig({"main:nightly@2026-01-02T00:00:00Z": Reject("no", "never")})
    task = PeriodicTask("nightly", "2026-01-02T00:00:00Z")
    await rig.handler.handle(message(b"", task=task))
    (copy,) = rig.store.copies
    rig.forwarder.answers.clear()
    redriven = message(copy.body.encode(), "m-2", attributes=dict(copy.attributes))
    assert isinstance(await rig.handler.handle(redriven), Delivered)
    assert len(set(rig.forwarder.sent)) == 1


async def test_a_damaged_origin_is_reported_and_may_have_run() -> None:
    rig = HandlerRig()
    broken = message(event(), attributes={ATTRIBUTE: Attribute("String", "{}")})
    outcome = await rig.handler.handle(broken)
    assert isinstance(outcome, Reject)
    past = origin(rig.store.copies[0])
    assert (past.code, past.may_have_run, past.lost) == ("bad_origin", True, (ATTRIBUTE,))
