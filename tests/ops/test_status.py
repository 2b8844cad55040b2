"""`relay status`: what is seen of queues and relays, the rates, and what could not be seen."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rich.console import Console

from relay.app.status import open_collector
from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.aws.sqs_values import Outgoing
from relay.http.server import serving
from relay.local.sqs import Fault, SqsServer
from relay.model.message import Message
from relay.model.outcome import Outcome, Retry
from relay.ops.status import QueueStatus, RelayStatus, StatusReport, fetch_relay_status, rates
from relay.ops.status_view import render_status
from relay.settings.loading import load
from relay.sources.sqsd import PushApp
from relay.telemetry import metrics
from relay.telemetry.prometheus import PrometheusSink
from relay.telemetry.recorder import Recorder
from tests.ops.doctor.conftest import aws, models, run  # noqa: F401 - a fixture

READY = {
    "circuit": "closed",
    "halted": False,
    "reason": None,
    "setting": None,
    "seconds": 1.0,
    "in_flight": 7,
    "last_error": None,
}


@dataclass
class Relay:
    """A relay's endpoints with what they say."""

    url: str = ""
    told: dict[str, Any] = field(default_factory=lambda: dict(READY))
    recorder: Recorder = field(default_factory=Recorder)

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        return self.told["circuit"] == "closed", self.told


async def never(_message: Message) -> Outcome:
    return Retry("nobody asks")


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    found = Relay()
    gauges = {m.name: 0.0 for m in metrics.METRICS if m.kind is metrics.Kind.GAUGE}
    sink = PrometheusSink(found.recorder, lambda: gauges, lambda: {"service": "relay"})
    app = PushApp(never, hold=1.0, ready=found.ready)
    async with serving(sink.add_metrics_route(app.asgi())) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, verify=False) as found:
        yield found


@pytest.fixture
async def sqs(
    aws: Callable[[str], Any],  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[SqsServer]:
    async with SqsServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        dead = server.account.create("dead", {}, {})
        policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 9})
        server.account.create("events", {"RedrivePolicy": policy}, {})
        yield server


async def publish(queue: str, count: int) -> None:
    async with open_session() as session, open_queue(session, queue) as found:
        await found.send([Outgoing(body="x")] * count)


async def seen(urls: list[str], **settings: str) -> StatusReport:
    async with open_collector(load(settings).settings, urls) as eyes:
        return await eyes.collect()


def shown(sample: StatusReport, told: Mapping[str, Mapping[str, float]]) -> str:
    console = Console(width=150, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115 - thrown away
    with console.file:
        console.print(render_status(sample, told))
    return console.export_text()


async def test_a_relay_that_is_well_tells_what_it_does(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    relay.recorder.count(metrics.DELIVERED, 41)
    relay.recorder.window.counters |= {("Rejected", "empty_name"): 2, ("Rejected", "not_json"): 3}
    found = await fetch_relay_status(client, relay.url)
    assert (found.ready, found.circuit, found.in_flight, found.problem) == (True, "closed", 7, None)
    assert found.counters["Delivered"] == 41
    assert found.counters["Rejected"] == 5


async def test_a_relay_that_is_halted_tells_why_and_what_to_look_at(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    relay.told |= {
        "circuit": "halted",
        "reason": "401: Event key not found",
        "setting": "RELAY_INNGEST_EVENT_KEY",
        "last_error": "\x1b[2J503",
    }
    found = await fetch_relay_status(client, relay.url)
    text = shown(StatusReport(at=0.0, relays=(found,)), {})
    assert found.ready is False
    assert "halted" in text
    assert "401: Event key not found (see RELAY_INNGEST_EVENT_KEY)" in text
    assert "last error: ?[2J503" in text


async def test_a_polling_relay_is_known_by_its_metrics_alone(client: httpx.AsyncClient) -> None:
    recorder = Recorder()
    gauges = {m.name: 0.0 for m in metrics.METRICS if m.kind is metrics.Kind.GAUGE}
    gauges |= {"InFlight": 12.0, "CircuitState": 2.0}
    sink = PrometheusSink(recorder, lambda: gauges, dict)

    async def nothing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(sink.add_metrics_route(nothing)) as port:
        found = await fetch_relay_status(client, f"http://127.0.0.1:{port}")
    assert (found.circuit, found.in_flight, found.ready) == ("open", 12, False)


async def test_nobody_and_somebody_else_are_told_apart(
    client: httpx.AsyncClient, sqs: SqsServer
) -> None:
    assert (
        await fetch_relay_status(client, "http://127.0.0.1:1")
    ).problem == "nobody listens there"
    stranger = await fetch_relay_status(client, sqs.url)
    assert stranger.problem is not None
    assert "no relay's answer" in stranger.problem


async def test_both_queues_are_counted_and_the_second_is_found_by_itself(
    sqs: SqsServer, relay: Relay
) -> None:
    await publish("events", 3)
    await publish("dead", 2)
    sample = await seen([relay.url], RELAY_QUEUE_URL="events")
    assert [(q.name, q.visible, q.in_flight) for q in sample.queues] == [
        ("events", 3, 0),
        ("dead", 2, 0),
    ]
    assert sample.relays[0].circuit == "closed"
    assert sqs.requests["ReceiveMessage"] == 0


async def test_ages_are_cloudwatchs(sqs: SqsServer, aws: Callable[[str], Any]) -> None:  # noqa: F811 - the fixture
    aws("cloudwatch").put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": "dead"}],
                "Timestamp": datetime.now(UTC),
                "Value": 7_200.0,
            }
        ],
    )
    sample = await seen([], RELAY_QUEUE_URL="events")
    assert [queue.oldest for queue in sample.queues] == [None, 7_200.0]
    assert "2.0 h" in shown(sample, {})


async def test_what_cannot_be_seen_is_said_and_the_rest_shown(
    sqs: SqsServer, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")
    sample = await seen([relay.url], RELAY_QUEUE_URL="events")
    assert len(sample.queues) == 2
    assert sample.gaps[0].startswith("no ages: cloudwatch:GetMetricData")
    sqs.faults.add(Fault(action="GetQueueAttributes", error="AccessDenied", times=None))
    denied = await seen([relay.url], RELAY_QUEUE_URL="events")
    assert "sqs:GetQueueAttributes" in denied.gaps[0]
    assert not denied.empty
    unnamed = await seen(["http://127.0.0.1:1"])
    assert "RELAY_QUEUE_URL" in unnamed.gaps[0]
    assert unnamed.empty


async def test_a_queue_that_was_away_is_looked_at_again(sqs: SqsServer) -> None:
    sqs.faults.add(Fault(action="GetQueueAttributes", error="ServiceUnavailable"))
    async with open_collector(load({"RELAY_QUEUE_URL": "events"}).settings, []) as eyes:
        assert not (await eyes.collect()).queues
        assert len((await eyes.collect()).queues) == 2


def relays(at: float, **counters: float) -> StatusReport:
    return StatusReport(at=at, relays=(RelayStatus(url="r", counters=counters),))


def test_rates_are_taken_over_the_last_seconds() -> None:
    samples = [relays(at, Delivered=at * 10) for at in (0.0, 5.0, 10.0, 18.0, 20.0)]
    samples[0] = relays(0.0, Delivered=-1_000_000)
    assert rates(samples) == {"r": {"Delivered": 10.0}}
    assert rates(samples[:1]) == {}


def test_a_relay_that_was_started_anew_has_no_negative_rate() -> None:
    assert rates([relays(0.0, Delivered=900), relays(10.0, Delivered=50)])["r"]["Delivered"] == 5.0


def test_the_screen_has_rates_where_there_are_some_and_counts_where_not() -> None:
    sample = StatusReport(
        at=0.0,
        queues=(QueueStatus(name="events", visible=12_345, in_flight=1, delayed=0, oldest=90.0),),
        relays=(
            RelayStatus(url="r", circuit="closed", in_flight=3, counters={"Delivered": 1_000}),
        ),
    )
    counted, rated = shown(sample, {}), shown(sample, {"r": {"Delivered": 2.5}})
    assert "12,345" in counted
    assert "1.5 min" in counted
    assert "since its start" in counted
    assert "1,000" in counted
    assert "per second" in rated
    assert "2.5" in rated


async def test_without_a_terminal_it_looks_once(sqs: SqsServer, relay: Relay) -> None:
    await publish("events", 1)
    ended = await run("status", "--relay", relay.url, RELAY_QUEUE_URL="events")
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["events", "1", "0", "0", "-"] in lines
    assert [relay.url, "closed", "7"] in lines
    assert [relay.url, "0", "0", "0", "0", "0"] in lines


async def test_json_is_one_look_and_nothing_seen_is_exit_code_1(relay: Relay) -> None:
    ended = await run("status", "--json", "--relay", relay.url)
    assert ended.code == 0
    assert json.loads(ended.out)["relays"][0]["circuit"] == "closed"
    assert (await run("status", "--relay", "http://127.0.0.1:1")).code == 1
    wrong = await run("status", "--relay", "localhost:8000")
    assert wrong.code == 2
    assert "--relay takes an address" in wrong.err


async def test_on_a_terminal_it_goes_on_until_it_is_stopped(sqs: SqsServer, relay: Relay) -> None:
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "status", "--relay", relay.url, "--interval", "0.5"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "RELAY_QUEUE_URL": "events", "TERM": "xterm", "COLUMNS": "160"},
    )
    os.close(slave)
    screens = ""
    async with AsyncExitStack() as stack:
        stack.callback(os.close, master)
        async with asyncio.timeout(60):
            while "per second" not in screens:  # the second look
                part = await asyncio.to_thread(os.read, master, 65_536)
                screens += part.decode(errors="replace")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert "Traceback" not in screens
