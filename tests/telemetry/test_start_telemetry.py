"""Telemetry as configured by the settings; its failures do not stop the relay."""

from __future__ import annotations

import json
import logging
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.app.poll import health_endpoints
from relay.app.telemetry import AutoSink, NullSink, start_telemetry
from relay.aws.session import SharedSession
from relay.model.facts import Received
from relay.model.message import Message
from relay.settings.model import Settings
from relay.telemetry.otlp_extra import ExtraMissing, import_otlp
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import State
from tests.telemetry.samples import message, report, settled

EXTRA = "sqs-relay\\[otlp\\]"


@pytest.fixture
def without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra."""
    for module in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("relay.telemetry.spans", "relay.telemetry.otlp"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def settings(tmp_path: Path, **given: Any) -> Settings:
    return Settings(**{"log_file": str(tmp_path / "log"), "metrics": "none", **given})


@pytest.mark.usefixtures("without_opentelemetry")
def test_a_missing_extra_is_named() -> None:
    with pytest.raises(ExtraMissing, match=EXTRA):
        import_otlp("relay.telemetry.spans", "Spans", "RELAY_TRACES=otlp")


@pytest.mark.usefixtures("without_opentelemetry")
async def test_without_the_extra_the_relay_runs_and_logs_what_to_install(tmp_path: Path) -> None:
    async with start_telemetry(settings(tmp_path, metrics="otlp", traces="otlp")) as telemetry:
        telemetry.observe(Received(message()))
    messages = [str(line["message"]) for line in lines(tmp_path / "log")]
    assert sum("sqs-relay[otlp]" in text for text in messages) == 2


async def test_the_last_counts_are_sent_at_the_end(tmp_path: Path) -> None:
    emf = tmp_path / "emf"
    async with start_telemetry(settings(tmp_path, metrics="emf", emf_target=str(emf))) as telemetry:
        telemetry.state = lambda: State(in_flight=3, problem="no key", setting="RELAY_X")
        telemetry.observe(Received(message()))
    (document,) = lines(emf)
    assert (document["Received"], document["InFlight"], document["Halted"]) == (1, 3.0, 1.0)
    halted = [line for line in lines(tmp_path / "log") if line["level"] == "ERROR"]
    assert [line["setting"] for line in halted] == ["RELAY_X"]


async def test_emf_on_standard_output_is_pure_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with start_telemetry(settings(tmp_path, metrics="emf", queue_url="https://h/1/orders")):
        pass
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [d["queue"] for d in documents if "_aws" in d] == ["orders"]


async def test_prometheus_can_scrape_in_pull_mode_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configured = settings(tmp_path, metrics="prometheus", PORT=port)
    async with (
        start_telemetry(configured) as telemetry,
        health_endpoints(configured, telemetry),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        telemetry.observe(Received(Message(body=b"", message_id="m", queue="orders")))
        answer = await client.get("/metrics")
        assert (await client.get("/")).status_code == 404
    assert 'relay_received_total{service="relay",queue="orders"} 1' in answer.text


async def test_a_poller_with_a_port_serves_health_and_readiness(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configured = settings(tmp_path, PORT=port)
    async with (
        start_telemetry(configured) as telemetry,
        health_endpoints(configured, telemetry) as endpoints,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).json()["reason"] == "the queue is not open yet"
        endpoints.ready = lambda: (True, {"circuit": "closed"})
        assert (await client.get("/ready")).json() == {"ready": True, "circuit": "closed"}


async def test_without_a_port_or_prometheus_there_is_no_listener(tmp_path: Path) -> None:
    configured = settings(tmp_path, host="not an address")
    async with start_telemetry(configured) as telemetry, health_endpoints(configured, telemetry):
        pass  # listening there would have failed


async def test_without_credentials_no_metrics_are_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with AsyncExitStack() as stack:
        sink = AutoSink(SharedSession(stack))
        await sink.put(report(Recorder()))
        assert isinstance(sink._sink, NullSink)


async def test_a_looked_up_secret_is_redacted_from_then_on(tmp_path: Path) -> None:
    async with start_telemetry(settings(tmp_path)) as telemetry:
        telemetry.register_secret("looked-up-s3cret")
        logging.getLogger("relay.x").warning("the server says: no looked-up-s3cret here")
    [line] = lines(tmp_path / "log")
    assert line["message"] == "the server says: no *** here"


async def test_a_log_file_that_cannot_be_written_is_reported_and_breaks_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent" / "log"
    async with start_telemetry(settings(tmp_path, log_file=str(absent))) as telemetry:
        telemetry.observe(settled())
    assert capsys.readouterr().err == (
        f"relay: the log file {absent} cannot be written, lines are dropped: No such file or"
        " directory\n"
    )


async def test_without_the_timer_a_flush_sends_the_metrics_and_writes_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = settings(tmp_path, metrics="emf")
    async with start_telemetry(chosen, timer=False) as telemetry:
        for _ in range(2):
            telemetry.observe(settled())
            await telemetry.flush()
            assert lines(tmp_path / "log")  # nothing has to be waited for
        documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        metrics = [one for one in documents if "_aws" in one]
        assert [one["Delivered"] for one in metrics] == [1, 1]
