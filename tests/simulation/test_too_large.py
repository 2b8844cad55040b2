"""A poison message that does not fit into the dead-letter queue, for all of its retention."""

from __future__ import annotations

import asyncio
import random

import pytest

from relay.aws.sqs_values import Outgoing
from relay.delivery.dead_letter_copy import NotStored
from relay.delivery.retention import EXPIRING_SHARE
from relay.model.encoded_body import stored_beginning
from relay.model.facts import DeadLetterTooLarge
from relay.model.message import Message
from relay.model.origin import unpack
from relay.settings import clocks
from relay.sources.poller import Limits
from tests.forwarding.virtual_time import run
from tests.simulation.test_expiring import relaying
from tests.simulation.world import World, packed_origin

SMALL = 262_144
POISON = random.Random(1).randbytes(200_000).hex()
HOUR = 3_600.0
MODES = pytest.mark.parametrize("push", [False, True], ids=["pull", "push"])


async def publish(world: World) -> None:
    await world.sqs.client(world.main).send([Outgoing(body=POISON)])


@MODES
def test_it_is_whole_in_the_queue_or_in_the_dead_letter_queue_until_the_end(*, push: bool) -> None:
    async def main() -> None:
        world = World(largest_dead_letter=SMALL)
        await publish(world)
        async with relaying(world, push=push):
            await asyncio.sleep(EXPIRING_SHARE * clocks.QUEUE_RETENTION - HOUR)
            stored = (*world.main.messages(), *world.dead.messages())
            assert [one.body for one in stored] == [POISON]
            await world.publish(5)
            await asyncio.sleep(2 * HOUR)
        assert set(world.orchestrator.accepted) == set(world.ids)
        (dead,) = world.dead.messages()
        assert not world.main.messages()
        assert any(isinstance(fact, DeadLetterTooLarge) for fact in world.facts)
        if push:
            # sqsd's error timeout cannot be chosen: SQS moved it first, here with its whole body.
            assert dead.body == POISON
            return
        past = unpack(packed_origin(dead))
        assert past.code == "not_json"
        kept = stored_beginning(dead.body.encode(), past.encoding)
        assert POISON.encode().startswith(kept)
        assert len(kept) > SMALL

    run(main)


@MODES
def test_it_is_dead_lettered_whole_within_an_hour_of_a_raised_limit(*, push: bool) -> None:
    async def main() -> None:
        world = World(largest_dead_letter=SMALL)
        await publish(world)
        async with relaying(world, push=push):
            await asyncio.sleep(10 * HOUR)
            assert not world.dead.messages()
            dead = world.sqs.client(world.dead)
            raised = {"QueueUrl": dead.url, "Attributes": {"MaximumMessageSize": "1048576"}}
            await world.sqs.call("SetQueueAttributes", raised)
            await world.empty(within=HOUR)
        (stored,) = world.dead.messages()
        assert stored.body == POISON
        assert unpack(packed_origin(stored)).encoding is None

    run(main)


class Denied:
    """A bucket into which the relay may not write."""

    def pointer(self, message: Message) -> str:
        return message.message_id

    async def put(self, message: Message) -> None:
        raise NotStored(f"{message.message_id} is denied", setting="RELAY_DEAD_LETTER_BUCKET")


def test_a_denied_bucket_stops_no_good_message_and_loses_no_reason() -> None:
    async def main() -> None:
        world = World(retention=2 * HOUR, largest_dead_letter=SMALL, bodies=Denied(), guarded=False)
        client = world.sqs.client(world.main)
        await client.send([Outgoing(body=f"{number} {POISON}") for number in range(5)])
        async with world.pulling(Limits(max_in_flight=4)):
            await asyncio.sleep(HOUR / 2)
            await world.publish(5)
            await world.accepted(within=HOUR)
            await world.empty(within=2 * HOUR)
        assert len(world.dead.messages()) == 5

    run(main)
