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
from tests.chaos.accelerated_clock import Haste
from tests.chaos.disruptions import HTML
from tests.chaos.environment import Mode, World, world
from tests.chaos.processes import Zygote
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
async def stage(
    parent: tuple[Zygote, Haste], directory: Path, mode: Mode = "push", **more: Any
) -> AsyncIterator[World]:
    async with world(mode, *parent, directory, **more) as made:
        yield made


async def halted(made: World) -> dict[str, Any]:
    """What `/ready` says once it says that it is halted."""
    async with made.haste.timeout(1_000):
        while (told := (await made.ready())[1])["halted"] is not True:
            await made.haste.sleep(1.0)
    return told


def untouched(made: World, count: int = MESSAGES) -> bool:
    """Whether nothing was acknowledged, dead-lettered or accepted."""
    return (
        len(made.main.messages()) == count and not made.dead.messages() and not made.inngest.events
    )


async def test_wrong_answers_for_everybody_halt_and_heal_by_themselves(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async def scenario(fault: dict[str, Any], setting: str) -> None:
        async with stage(parent, tmp_path) as made:
            made.inngest.script.add(Rule(fault=Fault(accept=0, **fault), times=None))
            await made.publish(*map(valid_message, range(MESSAGES)))
            told = await halted(made)
            assert told["setting"] == setting
            assert str(fault["status"]) in told["reason"]
            await made.haste.sleep(40)
            assert untouched(made)
            verdict = await conclude(made)
            assert (await made.ready())[0] == 200
        assert verdict.clean
        assert verdict.ran == MESSAGES

    # Together: each waits for the most part.
    await asyncio.gather(*(scenario(*mistake) for mistake in MISTAKES))


async def test_pull_mode_takes_nothing_new_while_it_is_halted(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async with stage(parent, tmp_path, "pull", start=False) as made:
        fault = Fault(accept=0, status=401, body=NOT_FOUND)
        made.inngest.script.add(Rule(fault=fault, times=None))
        await made.relay.start()
        await made.publish(valid_message(0))
        # The second is a probe: the relay has heard the first, and is halted.
        await made.until(lambda: made.inngest.answers[401] > 1, within=600)
        await made.publish(*map(valid_message, range(1, 60)))
        await made.haste.sleep(40)
        assert untouched(made, 60)
        # The first, and what the long poll brought that was under way.
        assert sum(stored.receive_count for stored in made.main.messages()) <= 11
        verdict = await conclude(made)
    assert verdict.clean
    assert verdict.ran == 60


async def test_a_rotated_key_is_looked_up_again(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async with SecretStore("evt-old").listening() as store:
        settings = {
            "RELAY_INNGEST_EVENT_KEY_SECRET": "relay/key",
            "RELAY_INNGEST_SIGNING_KEY": "abcd",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": store.url,
        }
        server = {"mode": "start", "event_keys": ["evt-new"], "signing_key": "abcd"}
        async with stage(parent, tmp_path, settings=settings, inngest=server) as made:
            await made.publish(*map(valid_message, range(MESSAGES)))
            assert (await halted(made))["setting"] == KEY
            assert untouched(made)
            store.value = "evt-new"
            verdict = await conclude(made)
    assert verdict.clean
    assert verdict.ran == MESSAGES


async def test_a_dead_letter_queue_out_of_reach_halts_what_must_go_there_and_nothing_else(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async def scenario(error: str) -> None:
        async with stage(parent, tmp_path) as made:
            made.sqs.faults.add(
                SqsFault(action="SendMessageBatch", queue="dead", error=error, times=None)
            )
            await made.publish(partly_poison(0), *map(valid_message, range(1, MESSAGES)))
            assert (await halted(made))["setting"] == "RELAY_DLQ_URL"
            await made.until(lambda: len(made.main.messages()) == 1, within=1_000)
            assert not made.dead.messages()
            verdict = await conclude(made)
        assert verdict.clean
        assert verdict.dead == 1

    await asyncio.gather(*map(scenario, NOT_REACHABLE))


async def test_a_pinned_envelope_that_fits_nothing_moves_almost_nothing(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    count = 3 * MIN_REJECTS
    async with stage(parent, tmp_path, settings={"RELAY_ENVELOPE": "sns"}) as made:
        await made.publish(*map(valid_message, range(count)))
        told = await halted(made)
        assert told["setting"] == "RELAY_ENVELOPE"
        await made.haste.sleep(40)
        moved = made.dead.messages()
        assert len(moved) < MIN_REJECTS
        assert len(made.main.messages()) + len(moved) == count
        for stored in moved:
            made.excuse(stored, "not_sns")
        await made.relay.terminate()
        made.relay.environment = {**made.relay.environment, "RELAY_ENVELOPE": "auto"}
        verdict = await conclude(made)
    assert not verdict.lost
    assert verdict.ran == count - len(moved)


async def test_a_mistake_in_the_settings_holds_every_message(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async with stage(parent, tmp_path, settings={"RELAY_HOLD": "9000"}) as made:
        await made.publish(*map(valid_message, range(MESSAGES)))
        told = await halted(made)
        assert "RELAY_HOLD" in told["reason"]
        assert told["setting"] == "RELAY_HOLD"
        await made.haste.sleep(40)
        assert untouched(made)
        assert (await made.ready())[1]["in_flight"] == MESSAGES
        await made.relay.kill()
        made.relay.environment = {**made.relay.environment, "RELAY_HOLD": "100"}
        verdict = await conclude(made)
    assert verdict.clean
    assert verdict.ran == MESSAGES


async def test_a_relay_that_is_told_to_hold_nothing_delivers_all_the_same(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    async with stage(parent, tmp_path, settings={"RELAY_HOLD": "0"}) as made:
        await made.publish(*map(valid_message, range(MESSAGES)))
        verdict = await conclude(made)
    assert verdict.clean
    assert verdict.ran == MESSAGES
