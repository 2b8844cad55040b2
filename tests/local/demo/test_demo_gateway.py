"""The demo through the gateway, its senders, and a reconciliation that knows the unconfirmed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.local.demo.gateway_publisher import GatewayPublisher, sends
from relay.local.demo.reconciliation import Reconciliation, reconcile
from relay.local.demo.senders import SdkSender, open_senders
from relay.local.inngest import StoredEvent
from tests.destinations.wire import api, http, listening
from tests.gateway.running import KEY, running_gateway

SDKS = Path(__file__).parents[3] / ".heavy" / "sdks"
PYTHON = SDKS / "python" / "bin"


def demo(directory: Path, path: str, *options: str) -> tuple[dict[str, Any], str]:
    """The summary and the whole output of a demo that must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "relay", "demo", "--gateway", "--messages", "150", *options],
        cwd=directory,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.timeout(200)
@pytest.mark.parametrize("options", [(), ("--host=poller", "--fifo")])
def test_every_confirmed_event_ran_once(options: tuple[str, ...], tmp_path: Path) -> None:
    found, output = demo(tmp_path, "/nowhere", *options)
    assert (found["lost"], found["ran_twice"], found["in_queue"]) == (0, 0, 0)
    assert found["unique"] == found["ran"] > 150
    assert "sent by HTTP" in output
    assert "the gateway was killed" in output


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.skipif(not SDKS.exists(), reason="the SDKs are not installed: make heavy")
def test_sdks_that_are_installed_are_found_and_send() -> None:
    found, output = demo(SDKS, f"{PYTHON}:{os.environ['PATH']}")
    assert (found["lost"], found["ran_twice"], found["in_queue"]) == (0, 0, 0)
    assert "sent by the Python SDK" in output
    assert "sent by the JavaScript SDK" in output


def test_other_destinations_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay", "demo", "--gateway", "--destination", "webhook"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--gateway needs --destination inngest" in done.stderr


async def test_http_senders_publish_under_the_ids_that_they_are_told() -> None:
    async with running_gateway() as gateway, open_senders(gateway.url, KEY) as senders:
        publisher = GatewayPublisher([one for one in senders if one.name == "HTTP"])
        script = sends(20, 1)
        await publisher.publish(script)
        assert publisher.done == 20
        assert publisher.record.runs.total() == sum(map(len, script))
        assert set(publisher.record.runs) == set(gateway.ids)
        assert not publisher.unconfirmed


async def test_an_http_sender_tries_again_with_the_same_seed_and_then_gives_up() -> None:
    async with listening(http(503, '{"error":"no"}', content_type="application/json")) as wire:
        async with open_senders(wire.url, KEY) as senders:
            assert await senders[0].send([{"name": "a/b", "data": {}}]) is None
        seeds = [headers["x-inngest-event-id-seed"] for _, headers, _ in wire.requests]
    assert len(seeds) == 5
    assert len(set(seeds)) == 1


async def test_an_http_sender_believes_a_200() -> None:
    async with (
        listening(api(200, ids=["01A"])) as wire,
        open_senders(wire.url, KEY) as senders,
    ):
        assert await senders[0].send([{"name": "a/b", "data": {}}]) == ["01A"]


@asynccontextmanager
async def sdk(script: str) -> AsyncIterator[SdkSender]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield SdkSender("an SDK", process)
    await process.communicate()


@pytest.mark.parametrize(
    ("answer", "ids"),
    [
        ('{"ids": ["a"]}', ["a"]),
        ('{"ids": []}', None),
        ('{"ids": ["a", "b"]}', None),
        ('{"error": "no"}', None),
    ],
)
async def test_only_one_id_for_each_event_confirms_a_send(
    answer: str, ids: list[str] | None
) -> None:
    async with sdk(f"input(); print({answer!r})") as sender:
        assert await sender.send([{"name": "a/b", "data": {}}]) == ids


async def test_an_sdk_whose_process_ends_is_a_failure_of_the_demo() -> None:
    async with sdk("input()") as sender:
        with pytest.raises(OSError, match="the process of an SDK ended"):
            await sender.send([{"name": "a/b", "data": {}}])


class Scripted:
    """Confirms what it is told to."""

    name = "scripted"

    def __init__(self, *answers: list[str] | None) -> None:
        self._answers = list(answers)

    async def send(self, events: Sequence[Mapping[str, Any]]) -> list[str] | None:
        del events
        return self._answers.pop(0)


def stored(ident: str, mark: str) -> StoredEvent:
    data = msgspec.Raw(json.dumps({"mark": mark}).encode())
    return StoredEvent(
        internal_id=ident,
        id=ident,
        name="a/b",
        data=data,
        user=msgspec.Raw(b"null"),
        ts=0,
        received_at=0.0,
    )


async def settled(*events: StoredEvent) -> tuple[Reconciliation, int]:
    """The result when `one` was confirmed, `two` was not, and these events are stored."""
    publisher = GatewayPublisher([Scripted(["id-1"], None)])
    marks = ("one", "two")
    await publisher.publish([[{"name": "a/b", "data": {"mark": mark}}] for mark in marks])
    accepted = publisher.settle(events)
    assert publisher.unconfirmed.total() == 1
    return reconcile(publisher.record, events, (), (), (), 0), accepted


async def test_an_unconfirmed_event_that_did_not_run_is_not_lost() -> None:
    found, accepted = await settled(stored("id-1", "one"))
    assert (found.lost, accepted, found.consistent) == (0, 0, True)


async def test_an_unconfirmed_event_that_ran_is_explained() -> None:
    found, accepted = await settled(stored("id-1", "one"), stored("id-2", "two"))
    assert (found.unique, accepted, found.consistent) == (2, 1, True)


async def test_a_confirmed_event_that_did_not_run_is_lost() -> None:
    found, _ = await settled(stored("id-2", "two"))
    assert found.lost == 1
    assert not found.consistent


async def test_an_event_under_an_id_that_nobody_was_told_is_unexplained() -> None:
    found, _ = await settled(stored("id-1", "one"), stored("id-3", "one"))
    assert found.unexplained == ("id-3 was accepted and never published",)
