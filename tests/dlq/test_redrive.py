"""`relay dlq redrive`: everything comes back under its own ids, once."""

from tests.dlq.conftest import QUICK, Place, Relay, event, noted


async def test_a_dry_run_is_the_default_and_touches_nothing(relay: Relay, place: Place) -> None:
    await place.send("dead", event(), attributes=noted("a"))
    ended = await relay("dlq", "redrive", *QUICK)
    assert ended.code == 0
    assert "1 of 1 messages would go" in ended.out
    assert "--yes" in ended.err
    assert (place.visible("dead"), place.bodies("main")) == (1, [])


async def test_letters_come_back_as_they_were_in_tens(relay: Relay, place: Place) -> None:
    for i in range(42):
        await place.send("dead", event(i), attributes=noted(f"id-{i}", sent_at=1.0))
    place.sqs.requests.clear()
    ended = await relay("dlq", "redrive", "--yes", *QUICK)
    assert ended.code == 0, ended
    assert sorted(place.bodies("main")) == sorted(event(i) for i in range(42))
    assert {origin["id"] for origin in place.origins("main")} == {f"id-{i}" for i in range(42)}
    assert place.bodies("dead") == []
    assert place.sqs.requests["SendMessageBatch"] == 5
