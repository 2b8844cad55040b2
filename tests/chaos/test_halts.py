"""A misconfiguration halts: nothing is acknowledged or moved, and `/ready` names the setting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.delivery.reject_guard import MIN_REJECTS
from relay.local.inngest import Fault, Rule
from relay.local.sqs.faults import Fault as SqsFault
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.disruptions import HTML
from tests.chaos.environment import Environment, Mode, environment
from tests.chaos.processes import ForkServer
from tests.chaos.run import conclude
from tests.chaos.secret_store import SecretStore
from tests.chaos.traffic import partly_poison, valid_message

pytestmark = pytest.mark.asyncio(loop_scope="session")
MESSAGES = 6
KEY, URL = "RELAY_INNGEST_EVENT_KEY", "RELAY_INNGEST_URL"
NOT_FOUND = '{"status":401,"message":"","error":"Event key not found"}'

MISTAKES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"status": 401, "body": NOT_FOUND}, KEY),
    ({"status": 403, "body": '{"error":"forbidden"}'}, KEY),
    ({"status": 200, "body": HTML}, URL),
    ({"status": 404, "body": "404 page not found"}, URL),
    ({"status": 303, "headers": {"Location": "/login"}, "body": ""}, URL),
)
NOT_REACHABLE = ("AccessDenied", "KmsAccessDenied", "QueueDoesNotExist")


@contextlib.asynccontextmanager
async def halting(
    parent: tuple[ForkServer, AcceleratedClock], directory: Path, mode: Mode = "push", **more: Any
) -> AsyncIterator[Environment]:
    async with environment(mode, *parent, directory, **more) as env:
        yield env


async def halted(env: Environment) -> dict[str, Any]:
    """Wait until `/ready` reports a halt; returns its body."""
    async with env.clock.timeout(1_000):
        while (body := (await env.ready())[1])["halted"] is not True:
            await env.clock.sleep(1.0)
    return body


def nothing_settled(env: Environment, count: int = MESSAGES) -> bool:
    """Whether no message was deleted or dead-lettered, and no event accepted."""
    return len(env.main.messages()) == count and not env.dead.messages() and not env.inngest.events


async def test_errors_for_every_event_halt_the_relay_and_it_recovers_by_itself(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async def scenario(fault: dict[str, Any], setting: str) -> None:
        async with halting(parent, tmp_path) as env:
            env.inngest.script.add(Rule(fault=Fault(accept=0, **fault), times=None))
            await env.publish(*map(valid_message, range(MESSAGES)))
            ready = await halted(env)
            assert ready["setting"] == setting
            assert str(fault["status"]) in ready["reason"]
            await env.clock.sleep(40)
            assert nothing_settled(env)
            findings = await conclude(env)
            assert (await env.ready())[0] == 200
        assert findings.clean
        assert findings.ran == MESSAGES

    # Concurrently: each of them mostly waits.
    await asyncio.gather(*(scenario(*mistake) for mistake in MISTAKES))


async def test_pull_mode_receives_nothing_while_it_is_halted(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async with halting(parent, tmp_path, "pull", start=False) as env:
        fault = Fault(accept=0, status=401, body=NOT_FOUND)
        env.inngest.script.add(Rule(fault=fault, times=None))
        await env.relay.start()
        await env.publish(valid_message(0))
        # The second 401 answers a probe: the relay has seen the first, and is halted.
        await env.until(lambda: env.inngest.answers[401] > 1, within=600)
        await env.publish(*map(valid_message, range(1, 60)))
        await env.clock.sleep(40)
        assert nothing_settled(env, 60)
        # The first message, and those of the long poll that was active.
        assert sum(stored.receive_count for stored in env.main.messages()) <= 11
        findings = await conclude(env)
    assert findings.clean
    assert findings.ran == 60


async def test_a_rotated_key_is_looked_up_again(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async with SecretStore("evt-old").serving() as store:
        settings = {
            "RELAY_INNGEST_EVENT_KEY_SECRET": "relay/key",
            "RELAY_INNGEST_SIGNING_KEY": "abcd",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": store.url,
        }
        server = {"mode": "start", "event_keys": ["evt-new"], "signing_key": "abcd"}
        async with halting(parent, tmp_path, settings=settings, inngest=server) as env:
            await env.publish(*map(valid_message, range(MESSAGES)))
            assert (await halted(env))["setting"] == KEY
            assert nothing_settled(env)
            store.value = "evt-new"
            findings = await conclude(env)
    assert findings.clean
    assert findings.ran == MESSAGES


async def test_an_unusable_dead_letter_queue_halts_only_what_must_go_there(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async def scenario(error: str) -> None:
        async with halting(parent, tmp_path) as env:
            env.sqs.faults.add(
                SqsFault(action="SendMessageBatch", queue="dead", error=error, times=None)
            )
            await env.publish(partly_poison(0), *map(valid_message, range(1, MESSAGES)))
            assert (await halted(env))["setting"] == "RELAY_DLQ_URL"
            await env.until(lambda: len(env.main.messages()) == 1, within=1_000)
            assert not env.dead.messages()
            findings = await conclude(env)
        assert findings.clean
        assert findings.dead == 1

    await asyncio.gather(*map(scenario, NOT_REACHABLE))


async def test_a_queue_that_is_its_own_dead_letter_queue_is_refused(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async def scenario(settings: dict[str, str]) -> None:
        async with halting(parent, tmp_path, settings=settings) as env:
            await env.publish(partly_poison(0))
            assert (await halted(env))["setting"] == "RELAY_DLQ_URL"
            await env.clock.sleep(40)
            assert len(env.main.messages()) == 1
            assert env.sqs.requests["SendMessageBatch"] == 1  # the publisher's

    # Without its URL the relay knows the queue only by what sqsd says of each message.
    unnamed = {"RELAY_DLQ_URL": "main", "RELAY_QUEUE_URL": ""}
    await asyncio.gather(scenario({"RELAY_DLQ_URL": "main"}), scenario(unnamed))


async def test_a_wrong_envelope_setting_dead_letters_almost_nothing(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    count = 3 * MIN_REJECTS
    async with halting(parent, tmp_path, settings={"RELAY_ENVELOPE": "sns"}) as env:
        await env.publish(*map(valid_message, range(count)))
        ready = await halted(env)
        assert ready["setting"] == "RELAY_ENVELOPE"
        await env.clock.sleep(40)
        moved = env.dead.messages()
        assert len(moved) < MIN_REJECTS
        assert len(env.main.messages()) + len(moved) == count
        for stored in moved:
            env.allow_dead_letter(stored, "not_sns")
        await env.relay.terminate()
        env.relay.environment = {**env.relay.environment, "RELAY_ENVELOPE": "auto"}
        findings = await conclude(env)
    assert not findings.lost
    assert findings.ran == count - len(moved)


async def test_an_invalid_setting_holds_every_message(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async with halting(parent, tmp_path, settings={"RELAY_HOLD": "9000"}) as env:
        await env.publish(*map(valid_message, range(MESSAGES)))
        ready = await halted(env)
        assert "RELAY_HOLD" in ready["reason"]
        assert ready["setting"] == "RELAY_HOLD"
        await env.clock.sleep(40)
        assert nothing_settled(env)
        assert (await env.ready())[1]["in_flight"] == MESSAGES
        await env.relay.kill()
        env.relay.environment = {**env.relay.environment, "RELAY_HOLD": "100"}
        findings = await conclude(env)
    assert findings.clean
    assert findings.ran == MESSAGES


async def test_a_hold_of_zero_still_delivers(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async with halting(parent, tmp_path, settings={"RELAY_HOLD": "0"}) as env:
        await env.publish(*map(valid_message, range(MESSAGES)))
        findings = await conclude(env)
    assert findings.clean
    assert findings.ran == MESSAGES
