"""One trace from the upload through queue and relay to every function."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from relay.local.processes import free_port
from sermons import tracing
from sermons.functions import Options
from tests.studios import ScriptedStudio
from tests.test_functions import Bench

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
ROOT = Path(__file__).parents[1]

COLLECTOR = """\
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{file: {{path: {path}, flush_interval: 1s}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}
"""
NOTIFICATION = {
    "s3": {
        "object": {"key": "uploads/the-lamp.wav", "sequencer": "00A1"},
        "bucket": {"name": "sermons"},
    }
}


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Keeps the spans of this process, in which a provider can be set only once."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    return kept


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    """The spans of one test."""
    exporter.clear()
    return exporter


def test_a_function_continues_the_trace_and_passes_it_on(
    spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, ScriptedStudio(), Options())
    bench.run("receive", "s3/ObjectCreated.Put", {"traceparent": PARENT, **NOTIFICATION})
    assert [event.data["traceparent"] for event in bench.client.sent] == [PARENT]
    for span in spans.get_finished_spans():
        assert span.name == "receive"
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == TRACE
        assert span.parent is not None
        assert span.parent.span_id == 0xB7AD6B7169203331


@pytest.mark.parametrize("parent", [None, 7, "", "garbage", "00-" + "0" * 32 + "-1-01"])
def test_without_a_usable_trace_a_function_runs_all_the_same(
    spans: InMemorySpanExporter, tmp_path: Path, parent: Any
) -> None:
    bench = Bench(tmp_path, ScriptedStudio(), Options())
    data = NOTIFICATION if parent is None else {"traceparent": parent, **NOTIFICATION}
    assert bench.run("receive", "s3/ObjectCreated.Put", data) == "the-lamp"
    assert spans.get_finished_spans()


def test_an_upload_begins_a_trace(spans: InMemorySpanExporter) -> None:
    with tracing.uploading("the-lamp") as traceparent:
        pass
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert traceparent[:52] == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"


def test_one_upload_is_one_trace_in_a_real_collectors_file(tmp_path: Path) -> None:
    program = os.environ.get("OTELCOL") or shutil.which("otelcol-contrib") or ""
    if not program:
        pytest.skip("no OpenTelemetry Collector: set OTELCOL to one with the file exporter")
    port, kept = free_port(), tmp_path / "spans.json"
    config = tmp_path / "collector.yaml"
    config.write_text(COLLECTOR.format(port=port, path=kept))
    collector = subprocess.Popen([program, f"--config={config}"], stderr=subprocess.PIPE)
    assert collector.stderr is not None
    try:
        for line in collector.stderr:
            if b"Everything is ready" in line:
                break
        story = subprocess.run(
            [sys.executable, "-m", "sermons", "story", "--sermons", "2"],
            cwd=ROOT,
            env={**os.environ, tracing.ENDPOINT: f"http://127.0.0.1:{port}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert story.returncode == 0, story.stdout + story.stderr
    finally:
        collector.terminate()
        collector.communicate(timeout=30)
    traces = _names_by_trace(kept)
    uploads = [names for names in traces.values() if "upload" in names]
    whole = {
        *("upload", "relay send", "receive", "check", "transcode", "transcribe", "embed"),
        *("publish", "notify"),
    }
    assert [names for names in uploads if whole <= names]


def _names_by_trace(path: Path) -> dict[str, set[str]]:
    """The spans of each trace, and those linked to it: a request may have events of several."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    found.setdefault(span["traceId"], set()).add(span["name"])
                    for link in span.get("links", ()):
                        found.setdefault(link["traceId"], set()).add(span["name"])
    return found
