"""What barely fits into a message or a request is redriven, and what does not fit is skipped."""

from relay.model.message import Attribute
from tests.dlq.queues import LocalQueues, event, origin_attribute
from tests.dlq.redriver import Redriver


async def test_large_messages_are_batched_by_bytes(redriver: Redriver, queues: LocalQueues) -> None:
    bodies = [event(i, data={"x": "x" * 400_000}) for i in range(5)]
    await queues.send("dead", *bodies, attributes=origin_attribute("a"))
    assert (await redriver.redrive()).complete
    assert sorted(queues.bodies("main")) == sorted(bodies)


async def test_a_full_megabyte_with_an_id_of_its_own_is_sent_unchanged(
    redriver: Redriver, queues: LocalQueues
) -> None:
    start = event(id="mine", data={"x": ""})
    body = event(id="mine", data={"x": "é" + "x" * (1_048_576 - 2 - len(start.encode()))})
    assert len(body.encode()) == 1_048_576
    await queues.send("main", body)
    await queues.move_by_sqs()
    assert (await redriver.redrive()).complete
    [stored] = queues.stored("main")
    assert stored.size <= 1_048_576


async def test_ten_attributes_and_an_own_id_need_no_room_for_ours(
    redriver: Redriver, queues: LocalQueues
) -> None:
    ten = {f"a{i}": Attribute("String", str(i)) for i in range(10)}
    await queues.send("main", event(id="mine"), attributes=ten)
    await queues.move_by_sqs()
    assert (await redriver.redrive()).complete
    assert set(queues.stored("main")[0].attributes) == set(ten)


async def test_ten_attributes_without_an_own_id_are_skipped(
    redriver: Redriver, queues: LocalQueues
) -> None:
    ten = {f"a{i}": Attribute("String", str(i)) for i in range(10)}
    await queues.send("main", event(), attributes=ten)
    await queues.move_by_sqs()
    counts = await redriver.redrive()
    assert counts.skipped == {"no_room": 1}
    assert "--direct" in counts.reasons["no_room"]
    assert (queues.visible("dead"), queues.bodies("main")) == (1, [])


async def test_nine_attributes_and_ours_are_ten(redriver: Redriver, queues: LocalQueues) -> None:
    nine = {f"a{i}": Attribute("Binary", bytes([i])) for i in range(9)}
    await queues.send("dead", event(), attributes={**nine, **origin_attribute("a")})
    assert (await redriver.redrive()).complete
    assert len(queues.stored("main")[0].attributes) == 10
