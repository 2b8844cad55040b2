"""Event ids after dead-lettering by the relay and by SQS, and redrives by the relay and by SQS."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from relay.delivery.retention import EXPIRING_SHARE
from relay.local.demo import samples
from relay.local.inngest import Fault, Rule
from relay.settings.clocks import QUEUE_RETENTION
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.environment import LAMBDA, MODES, Environment, Mode, environment
from tests.chaos.processes import ForkServer, Relay
from tests.chaos.run import reconciled
from tests.chaos.traffic import valid_message

pytestmark = pytest.mark.asyncio(loop_scope="session")
BOTH_REDRIVES = pytest.mark.parametrize("how", ["relay dlq redrive", "a move task"])
ONE_FUNCTION = samples.EVENT_NAMES[1]
WITHOUT_ID = replace(samples.event_without_id(ONE_FUNCTION, 1), group="g1")
ARRAY = replace(samples.array(ONE_FUNCTION, 2), group="g2")
WITH_ID = valid_message(3, ONE_FUNCTION)


async def redrive_all(env: Environment, how: str) -> None:
    """Redrive everything from the dead-letter queue."""
    if how == "relay dlq redrive":
        await redrive_with_relay(env)
    else:
        await env.client.call(
            "StartMessageMoveTask", SourceArn=env.dead.arn, DestinationArn=env.main.arn
        )
    await env.until(lambda: not env.dead.messages(), within=3_000)


async def redrive_with_relay(env: Environment) -> None:
    relay = env.relay
    arguments = ["dlq", "redrive", "--yes", "--journal", f"{relay.output}-journal"]
    tool = Relay(relay.parent, arguments, relay.environment, relay.output, None)
    await tool.start()
    assert await tool.ended() == 0, tool.log()


async def expire_after_accepting(env: Environment) -> None:
    """The events are accepted, their responses are lost, and they expire to dead letters."""
    env.inngest.script.add(Rule(fault=Fault(end="reset"), times=None))
    await env.publish(WITHOUT_ID, ARRAY, WITH_ID)
    await env.relay.start()
    await env.start_daemon()
    await env.until(lambda: env.inngest.acknowledged.total() >= 5, within=3_000)
    await env.inngest.down()
    await env.relay.kill()
    for stored in env.main.messages():
        stored.sent_at -= EXPIRING_SHARE * QUEUE_RETENTION
    await env.relay.start()
    await env.until(lambda: not env.main.messages(), within=10_000)


@BOTH_REDRIVES
async def test_a_redriven_dead_letter_keeps_its_ids_and_runs_once(
    how: str, parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async def scenario(mode: Mode) -> None:
        settings = {"RELAY_CONFIRM": "off"}  # else the events would be found, and not dead-lettered
        async with environment(mode, *parent, tmp_path, settings=settings, start=False) as env:
            await expire_after_accepting(env)
            assert len(env.dead.messages()) == 3
            assert all(may_have_run(stored.attributes) for stored in env.dead.messages())
            env.inngest.script.clear()
            await env.inngest.up()
            await redrive_all(env, how)
            await env.settled()
            findings, copies = reconciled(env), env.inngest.acknowledged
        assert findings.clean, list(findings.violations())
        assert findings.ran == 5
        assert all(count > 1 for count in copies.values())

    await asyncio.gather(*(scenario(mode) for mode in MODES if mode not in LAMBDA))


def may_have_run(attributes: object) -> bool:
    assert isinstance(attributes, dict)
    return bool(json.loads(attributes["relay-origin"].string_value).get("may_have_run"))


@BOTH_REDRIVES
@pytest.mark.parametrize("mode", ["pull", "fifo"])
async def test_a_message_that_sqs_dead_lettered_keeps_the_ids_that_its_redrive_preserves(
    mode: Mode, how: str, parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async with environment(mode, *parent, tmp_path, start=False) as env:
        await env.publish(WITHOUT_ID, WITH_ID)
        await exhaust_receives(env)
        assert not env.main.messages()
        await redrive_all(env, how)
        await env.relay.start()
        await env.settled()
        accepted = {event.id for event in env.inngest.events}
        original = {*env.publisher.record.runs}
    named = {"order-3"}
    assert named <= accepted
    # A move task gives a message a new MessageId: only ids set by the producer are kept.
    assert (accepted == original) == (how == "relay dlq redrive")
    assert accepted & original == (original if how == "relay dlq redrive" else named)


async def exhaust_receives(env: Environment) -> None:
    """Receive the messages until SQS moves them to the dead-letter queue."""
    url = env.queue_url
    policy = {"deadLetterTargetArn": env.dead.arn, "maxReceiveCount": 2}
    await env.client.call(
        "SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)}
    )
    for _ in range(3):
        await env.client.call(
            "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0
        )
