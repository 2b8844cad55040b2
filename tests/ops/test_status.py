"""`relay status`: reading queues and relays, and reporting what could not be read."""

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
from functools import partial
from typing import Any

import httpx
import pytest

from relay.app.status import open_collector
from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.aws.sqs_values import Outgoing
from relay.http.server import serving
from relay.local.sqs import Fault, SqsServer
from relay.model.message import Message
from relay.model.outcome import Outcome, Retry
from relay.ops.status import StatusReport, fetch_relay_status
from relay.settings.loading import load
from relay.sources.sqsd import PushApp
from relay.telemetry import metrics
from relay.telemetry.prometheus import PrometheusSink
from relay.telemetry.recorder import Recorder
from tests.ops.doctor.conftest import aws, models, run  # noqa: F401 - a fixture
from tests.ops.test_status_view import rendered

READY = {
    "circuit": "closed",
    "halted": False,
    "stuck": False,
    "reason": None,
    "setting": None,
    "seconds": 1.0,
    "in_flight": 7,
    "last_error": None,
}


@dataclass
class Relay:
    """A relay's endpoints with a scripted state."""

    url: str = ""
    state: dict[str, Any] = field(default_factory=lambda: dict(READY))
    recorder: Recorder = field(default_factory=Recorder)

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        return self.state["circuit"] == "closed" and not self.state["stuck"], self.state


async def never(_message: Message) -> Outcome:
    return Retry("not called")


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    found = Relay()
    gauges = {m.name: 0.0 for m in metrics.METRICS if m.kind is metrics.Kind.GAUGE}
    sink = PrometheusSink(found.recorder, lambda: gauges, lambda: {"service": "relay"})
    app = PushApp(lambda message, _: partial(never, message), hold=1.0, ready=found.ready)
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


async def report(urls: list[str], **settings: str) -> StatusReport:
    async with open_collector(load(settings).settings, urls) as collector:
        return await collector.collect()


async def test_the_state_and_counters_of_a_ready_relay_are_read(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    relay.recorder.count(metrics.DELIVERED, 41)
    relay.recorder.window.counters |= {("Rejected", "empty_name"): 2, ("Rejected", "not_json"): 3}
    found = await fetch_relay_status(client, relay.url)
    assert (found.ready, found.circuit, found.in_flight, found.problem) == (True, "closed", 7, None)
    assert found.counters["Delivered"] == 41
    assert found.counters["Rejected"] == 5


async def test_a_halted_relay_is_shown_with_its_reason_and_setting(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    relay.state |= {
        "circuit": "halted",
        "reason": "401: Event key not found",
        "setting": "RELAY_INNGEST_EVENT_KEY",
        "last_error": "\x1b[2J503",
    }
    found = await fetch_relay_status(client, relay.url)
    text = rendered(StatusReport(at=0.0, relays=(found,)), {})
    assert found.ready is False
    assert "halted" in text
    assert "401: Event key not found (see RELAY_INNGEST_EVENT_KEY)" in text
    assert "last error: \\x1b[2J503" in text


async def test_a_stuck_relay_is_shown_as_stuck_while_its_circuit_is_closed(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    relay.state |= {"stuck": True, "reason": "an event not delivered", "setting": "RELAY_CONFIRM"}
    found = await fetch_relay_status(client, relay.url)
    text = rendered(StatusReport(at=0.0, relays=(found,)), {})
    assert (found.ready, found.circuit) == (False, "stuck")
    assert "an event not delivered (see RELAY_CONFIRM)" in text
    relay.state["circuit"] = "open"
    assert (await fetch_relay_status(client, relay.url)).circuit == "open"


async def test_a_paused_relay_is_shown_as_paused_and_is_ready(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    relay.state |= {"paused": True}
    found = await fetch_relay_status(client, relay.url)
    assert (found.ready, found.paused) == (True, True)
    assert "paused" in rendered(StatusReport(at=0.0, relays=(found,)), {})
    relay.state |= {"paused": "yes", "circuit": "open"}
    assert (await fetch_relay_status(client, relay.url)).paused is None


@pytest.mark.parametrize(
    ("gauge", "circuit"), [("Stuck", "stuck"), ("Halted", "halted"), ("InFlight", "closed")]
)
async def test_what_the_metrics_say_is_shown_without_a_ready_endpoint(
    gauge: str, circuit: str, client: httpx.AsyncClient
) -> None:
    gauges = {m.name: 0.0 for m in metrics.METRICS if m.kind is metrics.Kind.GAUGE} | {gauge: 1.0}
    sink = PrometheusSink(Recorder(), lambda: gauges, dict)

    async def nothing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(sink.add_metrics_route(nothing)) as port:
        found = await fetch_relay_status(client, f"http://127.0.0.1:{port}")
    assert (found.circuit, found.ready) == (circuit, circuit == "closed")


async def test_a_relay_without_a_ready_endpoint_is_read_from_its_metrics(
    client: httpx.AsyncClient,
) -> None:
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


async def test_a_closed_port_and_another_server_are_different_problems(
    client: httpx.AsyncClient, sqs: SqsServer
) -> None:
    assert (await fetch_relay_status(client, "http://127.0.0.1:1")).problem == "connection refused"
    other = await fetch_relay_status(client, sqs.url)
    assert other.problem is not None
    assert "not from a relay" in other.problem


async def test_the_dead_letter_queue_is_found_by_the_redrive_policy(
    sqs: SqsServer, relay: Relay
) -> None:
    await publish("events", 3)
    await publish("dead", 2)
    status = await report([relay.url], RELAY_QUEUE_URL="events")
    assert [(q.name, q.visible, q.in_flight) for q in status.queues] == [
        ("events", 3, 0),
        ("dead", 2, 0),
    ]
    assert status.relays[0].circuit == "closed"
    assert sqs.requests["ReceiveMessage"] == 0


async def test_message_ages_are_read_from_cloudwatch(
    sqs: SqsServer,
    aws: Callable[[str], Any],  # noqa: F811 - the fixture
) -> None:
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
    status = await report([], RELAY_QUEUE_URL="events")
    assert [queue.oldest_age for queue in status.queues] == [None, 7_200.0]
    assert "2.0 h" in rendered(status, {})


async def test_an_endpoint_without_cloudwatch_is_named(
    sqs: SqsServer, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", sqs.url)
    status = await report([relay.url], RELAY_QUEUE_URL="events")
    (gap,) = status.gaps
    assert gap.endswith(f"are not known: they come from CloudWatch, which {sqs.url} is not")


async def test_what_cannot_be_read_is_reported_and_the_rest_is_shown(
    sqs: SqsServer, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")
    status = await report([relay.url], RELAY_QUEUE_URL="events")
    assert len(status.queues) == 2
    assert status.gaps[0].startswith("the ages of the oldest messages are not known: ")
    sqs.faults.add(Fault(action="GetQueueAttributes", error="AccessDenied", times=None))
    denied = await report([relay.url], RELAY_QUEUE_URL="events")
    assert "sqs:GetQueueAttributes" in denied.gaps[0]
    assert not denied.empty
    unnamed = await report(["http://127.0.0.1:1"])
    assert "RELAY_QUEUE_URL" in unnamed.gaps[0]
    assert unnamed.empty


async def test_a_queue_that_could_not_be_read_is_tried_again(sqs: SqsServer) -> None:
    sqs.faults.add(Fault(action="GetQueueAttributes", error="ServiceUnavailable"))
    async with open_collector(load({"RELAY_QUEUE_URL": "events"}).settings, []) as collector:
        assert not (await collector.collect()).queues
        assert len((await collector.collect()).queues) == 2


async def test_without_a_terminal_the_status_is_printed_once(sqs: SqsServer, relay: Relay) -> None:
    await publish("events", 1)
    result = await run("status", "--relay", relay.url, RELAY_QUEUE_URL="events")
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert ["events", "1", "0", "0", "-"] in lines
    assert [relay.url, "closed", "7"] in lines
    assert [relay.url, "0", "0", "0", "0", "0"] in lines


async def test_json_is_printed_once_and_reading_nothing_is_exit_code_1(relay: Relay) -> None:
    result = await run("status", "--json", "--relay", relay.url)
    assert result.code == 0
    assert json.loads(result.out)["relays"][0]["circuit"] == "closed"
    assert (await run("status", "--relay", "http://127.0.0.1:1")).code == 1
    wrong = await run("status", "--relay", "localhost:8000")
    assert wrong.code == 2
    assert "--relay takes an address" in wrong.err


async def test_on_a_terminal_the_display_is_updated_until_a_signal(
    sqs: SqsServer, relay: Relay
) -> None:
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "status", "--relay", relay.url, "--interval", "0.5"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "RELAY_QUEUE_URL": "events", "TERM": "xterm", "COLUMNS": "160"},
    )
    os.close(slave)
    output = ""
    async with AsyncExitStack() as stack:
        stack.callback(os.close, master)
        async with asyncio.timeout(60):
            while "per second" not in output:  # from the second report on
                part = await asyncio.to_thread(os.read, master, 65_536)
                output += part.decode(errors="replace")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert "Traceback" not in output
