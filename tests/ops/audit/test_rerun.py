"""Events of failed runs are published again, as a redrive publishes dead letters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.envelope import Decoded, Rules, decode
from relay.local.inngest import Function
from relay.local.sqs import Fault, Request, SqsServer
from relay.model.message import Attribute, Message
from tests.ops.audit.conftest import World
from tests.ops.doctor.conftest import CommandResult, run


@dataclass
class Rerun:
    """Queues beside the server, and the command. `hook` is called for each request to SQS."""

    world: World
    sqs: SqsServer
    settings: dict[str, str]
    directory: Path
    hook: Callable[[Request], Fault | None] | None = None

    async def __call__(self, *words: str) -> CommandResult:
        return await run("audit", "--failed", "--rerun", *words, **self.settings)

    def sent(self) -> list[dict[str, Any]]:
        """The events in the main queue, with the ids that the relay will give them."""
        events = []
        for stored in self.sqs.queues["main"].messages():
            attributes = {
                name: Attribute(value.data_type, value.string_value or "")
                for name, value in stored.attributes.items()
            }
            message = Message(
                body=stored.body.encode(),
                message_id=stored.message_id,
                queue="main",
                attributes=attributes,
            )
            found = decode(message, Rules())
            assert isinstance(found, Decoded)
            events += [{"id": one.id, "name": one.name, "data": one.data} for one in found.events]
        return events


@pytest.fixture
async def rerun(
    world: World,
    settings: dict[str, str],
    aws: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Rerun]:
    reruns: list[Rerun] = []

    def hooked(request: Request) -> Fault | None:
        return reruns[0].hook(request) if reruns and reruns[0].hook else None

    async with SqsServer(faults=hooked) as sqs:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.url)
        monkeypatch.chdir(tmp_path)
        sqs.account.create("dead", {}, {})
        policy = {"deadLetterTargetArn": sqs.queues["dead"].arn, "maxReceiveCount": 1000}
        sqs.account.create("main", {"RedrivePolicy": msgspec.json.encode(policy).decode()}, {})
        reruns.append(Rerun(world, sqs, settings | {"RELAY_QUEUE_URL": "main"}, tmp_path))
        yield reruns[0]


async def test_without_yes_the_plan_is_shown_and_nothing_is_published(rerun: Rerun) -> None:
    await rerun.world.post({"name": "media/broken", "id": "b"})
    result = await rerun("--json")
    plan = json.loads(result.out)
    assert (result.code, plan["selected"]) == (0, 1)
    (group,) = plan["groups"]
    assert (group["name"], group["code"], group["targets"]) == (
        "media/broken",
        "run_failed",
        {"main": 1},
    )
    assert rerun.sent() == []


async def test_the_event_is_published_with_its_content_under_the_next_id(rerun: Rerun) -> None:
    await rerun.world.post(
        {"name": "media/broken", "id": "b", "data": {"n": 7}}, {"name": "media/uploaded", "id": "a"}
    )
    result = await rerun("--yes", "--journal", "j")
    assert result.code == 0
    assert rerun.sent() == [{"id": "b.r1", "name": "media/broken", "data": b'{"n":7}'}]
    journal = (rerun.directory / "j" / "journal.jsonl").read_text()
    lines = [json.loads(line) for line in journal.splitlines()]
    audits = [line["audit"] for line in lines if "audit" in line]
    assert [(one["audit"], one["done"]) for one in audits] == [("audit rerun", 1)]
    assert "audit rerun" in result.err


async def test_a_resumed_rerun_publishes_nothing_twice(rerun: Rerun) -> None:
    await rerun.world.post(*({"name": "media/broken", "id": f"b{i}"} for i in range(90)))
    for _ in range(3):
        assert (await rerun("--yes", "--journal", "j")).code == 0
    assert len(rerun.sent()) == len({event["id"] for event in rerun.sent()}) == 90


async def test_an_event_for_which_another_function_completed_is_left_out(rerun: Rerun) -> None:
    await rerun.world.post({"name": "media/two", "id": "t"})
    result = await rerun("--yes", "--journal", "one")
    assert "1 events of failed runs are left out: another function completed" in result.err
    assert rerun.sent() == []
    await rerun("--yes", "--all-functions", "--journal", "two")
    assert [event["id"] for event in rerun.sent()] == ["t.r1"]


async def test_an_event_that_was_published_again_before_is_left_out(rerun: Rerun) -> None:
    await rerun.world.post({"name": "media/broken", "id": "b"})
    await rerun.world.post({"name": "media/broken", "id": "b.r1"})
    result = await rerun("--yes", "--journal", "j")
    assert "1 events of failed runs are left out: they were published again before" in result.err
    assert [event["id"] for event in rerun.sent()] == ["b.r1.r1"]


async def test_the_canary_is_delivered_directly_before_the_rest(rerun: Rerun) -> None:
    await rerun.world.post(*({"name": "media/broken", "id": f"b{i}"} for i in range(5)))
    rerun.settings["RELAY_CONFIRM"] = "off"
    result = await rerun("--yes", "--canary", "2", "--journal", "j")
    assert "canary delivered (2 of 2)" in result.err
    again = {run.event_id for run in rerun.world.server.runs if run.event_id.endswith(".r1")}
    published = {event["id"] for event in rerun.sent()}
    assert (len(again), len(published), again & published) == (2, 3, set())


async def test_a_canary_that_is_refused_stops_the_rest(rerun: Rerun) -> None:
    await rerun.world.post(*({"name": "media/broken", "id": f"b{i}"} for i in range(5)))
    rerun.settings |= {"RELAY_CONFIRM": "off", "RELAY_INNGEST_EVENT_KEY": "wrong"}
    result = await rerun("--yes", "--canary", "1", "--canary-deadline", "1", "--journal", "j")
    assert result.code == 4
    assert "the rest is not sent" in result.err
    assert rerun.sent() == []


async def test_a_limit_and_a_rate_are_kept(rerun: Rerun) -> None:
    await rerun.world.post(*({"name": "media/broken", "id": f"b{i}"} for i in range(60)))
    result = await rerun("--yes", "--limit", "45", "--rate", "1000", "--journal", "j")
    assert (result.code, len(rerun.sent())) == (0, 45)


async def test_when_the_function_is_repaired_the_new_id_runs(rerun: Rerun) -> None:
    await rerun.world.post({"name": "media/broken", "id": "b"})
    rerun.world.server.functions[:] = [Function(name="fails", on="media/broken", app="media")]
    await rerun("--yes", "--journal", "j")
    await rerun.world.post(*({"id": e["id"], "name": e["name"]} for e in rerun.sent()))
    statuses = {run.event_id: run.status for run in rerun.world.server.runs}
    assert statuses == {"b": "Failed", "b.r1": "Completed"}
