"""The id through every road back: our dead letters and SQS's own, our redrive and SQS's own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from relay.local.demo import samples
from relay.local.inngest import Fault, Rule
from relay.settings.clocks import EXPIRING_SHARE, QUEUE_RETENTION
from tests.chaos.accelerated_clock import Haste
from tests.chaos.environment import MODES, Mode, World, world
from tests.chaos.processes import Relay, Zygote
from tests.chaos.run import judged
from tests.chaos.traffic import valid_message

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROADS = pytest.mark.parametrize("road", ["our redrive", "SQS's own task"])
HEARD = samples.EVENT_NAMES[1]
UNNAMED = replace(samples.event_without_id(HEARD, 1), group="g1")
ARRAY = replace(samples.array(HEARD, 2), group="g2")
NAMED = valid_message(3, HEARD)


async def take(made: World, road: str) -> None:
    """Bring everything back from the dead-letter queue."""
    if road == "our redrive":
        await redrive(made)
    else:
        await made.client.call(
            "StartMessageMoveTask", SourceArn=made.dead.arn, DestinationArn=made.main.arn
        )
    await made.until(lambda: not made.dead.messages(), within=3_000)


async def redrive(made: World) -> None:
    relay = made.relay
    arguments = ["dlq", "redrive", "--yes", "--journal", f"{relay.output}-journal"]
    tool = Relay(relay.parent, arguments, relay.environment, relay.output, None)
    await tool.start()
    assert await tool.ended() == 0, tool.log()


async def expire_after_accepting(made: World) -> None:
    """The events are accepted, nobody learns of it, and they wait until they are dead letters."""
    made.inngest.script.add(Rule(fault=Fault(end="reset"), times=None))
    await made.publish(UNNAMED, ARRAY, NAMED)
    await made.relay.start()
    await made.start_daemon()
    await made.until(lambda: made.inngest.acknowledged.total() >= 5, within=3_000)
    await made.inngest.down()
    await made.relay.kill()
    for stored in made.main.messages():
        stored.sent_at -= EXPIRING_SHARE * QUEUE_RETENTION
    await made.relay.start()
    await made.until(lambda: not made.main.messages(), within=10_000)


@ROADS
async def test_a_dead_letter_comes_back_under_its_ids_and_runs_once(
    road: str, parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async def scenario(mode: Mode) -> None:
        settings = {"RELAY_CONFIRM": "off"}  # else the events would be found, and not die
        async with world(mode, *parent, tmp_path, settings=settings, start=False) as made:
            await expire_after_accepting(made)
            assert len(made.dead.messages()) == 3
            assert all(doubtful(stored.attributes) for stored in made.dead.messages())
            made.inngest.script.clear()
            await made.inngest.up()
            await take(made, road)
            await made.settled()
            verdict, copies = judged(made), made.inngest.acknowledged
        assert verdict.clean, list(verdict.complaints())
        assert verdict.ran == 5
        assert all(count > 1 for count in copies.values())

    await asyncio.gather(*map(scenario, MODES))


def doubtful(attributes: object) -> bool:
    assert isinstance(attributes, dict)
    return bool(json.loads(attributes["relay-origin"].string_value).get("may_have_run"))


@ROADS
@pytest.mark.parametrize("mode", ["pull", "fifo"])
async def test_what_sqs_moved_by_itself_keeps_the_id_that_survives_its_redrive(
    mode: Mode, road: str, parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async with world(mode, *parent, tmp_path, start=False) as made:
        await made.publish(UNNAMED, NAMED)
        await wear_out(made)
        assert not made.main.messages()
        await take(made, road)
        await made.relay.start()
        await made.settled()
        accepted = {event.id for event in made.inngest.events}
        original = {*made.publisher.books.runs}
    named = {"order-3"}
    assert named <= accepted
    # SQS's own task gives a message another MessageId: only an id of the producer's own stays.
    assert (accepted == original) == (road == "our redrive")
    assert accepted & original == (original if road == "our redrive" else named)


async def wear_out(made: World) -> None:
    """Somebody receives the messages again and again, until SQS moves them."""
    url = made.queue_url
    policy = {"deadLetterTargetArn": made.dead.arn, "maxReceiveCount": 2}
    await made.client.call(
        "SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)}
    )
    for _ in range(3):
        await made.client.call(
            "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0
        )
