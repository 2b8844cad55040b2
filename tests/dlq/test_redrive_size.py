"""What barely fits into a message or a request comes back, and what does not stays for a person."""

from relay.model.message import Attribute
from tests.dlq.place import Place, event, noted
from tests.dlq.redriver import Desk


async def test_a_megabyte_of_messages_goes_in_batches_by_bytes(desk: Desk, place: Place) -> None:
    bodies = [event(i, data={"x": "x" * 400_000}) for i in range(5)]
    await place.send("dead", *bodies, attributes=noted("a"))
    assert (await desk.redrive()).complete
    assert sorted(place.bodies("main")) == sorted(bodies)


async def test_a_full_megabyte_with_an_id_of_its_own_goes_as_it_is(
    desk: Desk, place: Place
) -> None:
    start = event(id="mine", data={"x": ""})
    body = event(id="mine", data={"x": "é" + "x" * (1_048_576 - 2 - len(start.encode()))})
    assert len(body.encode()) == 1_048_576
    await place.send("main", body)
    await place.bury()
    assert (await desk.redrive()).complete
    [stored] = place.stored("main")
    assert stored.size <= 1_048_576


async def test_ten_attributes_and_an_own_id_need_no_room_for_ours(desk: Desk, place: Place) -> None:
    ten = {f"a{i}": Attribute("String", str(i)) for i in range(10)}
    await place.send("main", event(id="mine"), attributes=ten)
    await place.bury()
    assert (await desk.redrive()).complete
    assert set(place.stored("main")[0].attributes) == set(ten)


async def test_ten_attributes_and_no_other_id_stay_for_a_person(desk: Desk, place: Place) -> None:
    ten = {f"a{i}": Attribute("String", str(i)) for i in range(10)}
    await place.send("main", event(), attributes=ten)
    await place.bury()
    counts = await desk.redrive()
    assert counts.skipped == {"no_room": 1}
    assert "--direct" in counts.reasons["no_room"]
    assert (place.visible("dead"), place.bodies("main")) == (1, [])


async def test_nine_attributes_and_ours_are_ten(desk: Desk, place: Place) -> None:
    nine = {f"a{i}": Attribute("Binary", bytes([i])) for i in range(9)}
    await place.send("dead", event(), attributes={**nine, **noted("a")})
    assert (await desk.redrive()).complete
    assert len(place.stored("main")[0].attributes) == 10
