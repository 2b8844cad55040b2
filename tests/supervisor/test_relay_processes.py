"""`relay poll` in two processes: nothing is lost or run twice, and one answer for both."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.local.inngest.faults import Fault, Rule
from relay.local.processes import RelayFailed
from relay.supervisor.supervisor import SUPPORTED
from tests.supervisor.test_supervisor import gone
from tests.supervisor.world import World, open_world, until

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="needs fork and sigtimedwait")

HELD = Rule(fault=Fault(accept=0, delay=60.0), times=None)
"""The orchestrator does not answer: whatever was received stays in flight."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


@pytest.fixture
async def ordered(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, fifo=True) as world:
        yield world


async def test_both_deliver_and_their_counts_are_one_answer(world: World) -> None:
    async with world.relay() as relay:
        first, second = await world.all_ready()
        assert len({first, second, relay.pid}) == 3
        world.inngest.script.add(Rule(fault=Fault(delay=0.5), times=None))
        world.send(800)
        await world.ready(lambda found: all(one["in_flight"] for one in found["processes"]))
        world.inngest.script.clear()
        await until(lambda: not world.queue.messages())
        await world.metric("relay_delivered_total", 800)
        await world.metric("relay_received_total", 800)
        await world.metric("relay_in_flight", 0)
        await world.metric("relay_heartbeat_total", 0)
        assert (await world.get("/health")).json() == {"status": "alive"}
        assert await relay.terminate() == 0
    assert world.ran_once
    assert gone(first)
    assert gone(second)
    assert sum(line.get("outcome") == "delivered" for line in world.log()) == 800


async def test_a_worker_killed_in_the_middle_of_traffic_loses_nothing(world: World) -> None:
    async with world.relay(RELAY_REQUEST_TIMEOUT="5") as relay:
        pids = await world.all_ready()
        world.inngest.script.add(HELD)
        world.send(300)
        await world.ready(lambda found: all(one["in_flight"] for one in found["processes"]))
        os.kill(pids[0], signal.SIGKILL)
        world.inngest.script.clear()
        world.send(300)
        assert (await world.replaced(pids[0]))[1] == pids[1]
        await until(lambda: not world.queue.messages())
        await world.metric("relay_process_restarts_total", 1)
        assert await relay.terminate() == 0
    assert world.ran_once
    assert not world.dead.messages()
    assert world.logged("process 1 of 2 was ended by signal 9; it is started again in 0.5 s") == 1


async def test_all_of_them_killed_in_turn_under_traffic_lose_nothing(world: World) -> None:
    async with world.relay() as relay:
        pids = await world.all_ready()
        for victim in range(4):
            world.send(200)
            await until(lambda: len(world.ran) > world.sent - 150)
            os.kill(pids[victim % 2], signal.SIGKILL)
            pids = await world.replaced(pids[victim % 2])
        await until(lambda: not world.queue.messages())
        assert await relay.terminate() == 0
    assert world.ran_once


async def test_a_stop_releases_what_both_hold_and_the_queue_has_it_at_once(world: World) -> None:
    world.inngest.script.add(HELD)
    async with world.relay(RELAY_DRAIN_DEADLINE="1") as relay:
        await world.all_ready()
        world.send(50)
        await world.ready(lambda found: found["in_flight"] == 50)
        assert await relay.terminate() == 0
    assert world.queue.counts() == (50, 0, 0)
    assert world.ran == []


async def test_when_the_supervisor_is_killed_the_workers_drain_and_all_processes_end(
    world: World,
) -> None:
    world.inngest.script.add(Rule(fault=Fault(delay=1.0), times=None))
    async with world.relay() as relay:
        pids = await world.all_ready()
        world.send(50)
        await world.ready(lambda found: found["in_flight"] == 50)
        await relay.kill()
        await until(lambda: all(map(gone, pids)))
        visible, in_flight, _ = world.queue.counts()
    assert (visible, in_flight) == (0, 0)
    assert world.ran_once
    # The reporter has ended after the workers, with their last counts.
    await until(lambda: world.logged("summary"))
    summary = [line for line in world.log() if line["message"] == "summary"][-1]
    assert summary["counts"]["Delivered"] == 50


async def test_a_wrong_key_halts_with_one_line_and_its_end_is_one_line(world: World) -> None:
    unauthorized = Fault(accept=0, status=401, body='{"error":"Event key not found","status":401}')
    world.inngest.script.add(Rule(fault=unauthorized, times=None))
    async with world.relay() as relay:
        await world.all_ready()
        world.send(200)
        found = await world.ready(
            lambda answer: [one["circuit"] for one in answer["processes"]] == ["halted", "halted"]
        )
        assert (found["status"], found["halted"], found["circuit"]) == (503, True, "halted")
        assert found["setting"] == "RELAY_INNGEST_EVENT_KEY"
        await world.metric("relay_halted", 1)
        await world.metric("relay_circuit_state", 3)
        world.inngest.script.clear()
        await world.all_ready()
        await until(lambda: not world.queue.messages())
        await until(lambda: world.logged("delivering again after"))
        assert await relay.terminate() == 0
    assert world.logged("halted") == 1
    assert world.logged("delivering again after") == 1
    assert world.ran_once


async def test_a_queue_that_cannot_be_polled_ends_all_with_one_sentence(world: World) -> None:
    # Another port says another queue, until the workers have the queue's ARN.
    other = world.url.replace(str(world.sqs.url.rpartition(":")[2]), "1")
    silent = {"PORT": "", "RELAY_METRICS": "none"}
    async with world.relay(RELAY_DLQ_URL=other, **silent) as relay:
        assert await relay.ended() == 2
    assert relay.output(100).count("RELAY_DLQ_URL is the queue of RELAY_QUEUE_URL") == 1
    assert "starting 2 processes" in relay.output(100)


async def test_a_port_in_use_ends_all_with_one_sentence(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        relay = world.relay(PORT=taken)
        with pytest.raises(RelayFailed, match="ended during startup"):
            await relay.start()
    output = relay.output(100)
    assert output.count(f"relay: cannot listen on 127.0.0.1:{taken}: Address already in use") == 1
    assert "Traceback" not in output


async def test_groups_of_a_fifo_queue_keep_their_order_across_processes(ordered: World) -> None:
    async with ordered.relay() as relay:
        await ordered.all_ready()
        for _ in range(4):
            ordered.send(50)
            await until(lambda: len(ordered.ran) > ordered.sent - 40)
        await until(lambda: not ordered.queue.messages())
        assert await relay.terminate() == 0
    assert ordered.ran_once
    numbers = [int(re.sub(r"\D", "", name)) for name in ordered.ran]
    for group in range(5):
        of_group = [number for number in numbers if number % 5 == group]
        assert of_group == sorted(of_group)
