"""The orchestrators' own software: Prefect's server, and a BullMQ worker on Node."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from relay.destinations.prefect import TRAITS
from relay.destinations.single_event import json_string
from relay.model.event import Event
from relay.model.outcome import Delivered
from tests.destinations.conformance.prefect_server import (
    copy_database,
    deployment,
    prefect,
    prefect_process,
    runs,
)

ROOT = Path(__file__).parents[3]
NODE = ROOT / ".heavy" / "node"
pytestmark = pytest.mark.heavy

WORKER = """
const { Worker } = require("bullmq");
const connection = { host: "127.0.0.1", port: Number(process.argv[2]), password: process.argv[3] };
const worker = new Worker("orders", async (job) => {
  console.log(JSON.stringify({ id: job.id, name: job.name, data: job.data }));
}, { connection, removeOnComplete: { count: 0 } });
worker.on("ready", () => console.log("ready"));
"""


def event(event_id: str, data: str = '{"n": 1.5}') -> Event:
    return Event(id=event_id, name="order/placed", data=data.encode())


async def test_prefect_itself_renders_no_template_and_takes_the_largest_event(
    prefect_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = '{"__prefect_kind": "jinja", "template": "{{ 1 + 1 }}"}'
    empty = json_string(event("large", data='{"x":""}').wire)
    room = (TRAITS.event_bytes or 0) - len(empty)
    async with prefect(prefect_url, "literal", monkeypatch) as setup:
        (literal,) = await setup.destination.send([event("template", data=template)])
        (large,) = await setup.destination.send([event("large", data=f'{{"x":"{"x" * room}"}}')])
    assert isinstance(literal, Delivered)
    assert isinstance(large, Delivered)
    flow_runs = runs(prefect_url, deployment(prefect_url, "literal"))
    by_id = {run["parameters"]["event"]["id"]: run["parameters"]["event"] for run in flow_runs}
    assert by_id["template"]["data"] == json.loads(template)


@pytest.mark.usefixtures("prefect_url")
async def test_flow_runs_survive_a_crash_of_prefect(
    prefect_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_database(tmp_path, like=prefect_home)
    with prefect_process(tmp_path) as (url, process):
        async with prefect(url, "orders", monkeypatch) as setup:
            for number in range(10):
                await setup.destination.send([event(f"e-{number}")])
            process.kill()
    with prefect_process(tmp_path) as (url, _):
        assert len(runs(url, deployment(url, "orders"))) == 10


async def test_a_worker_on_node_gets_each_job_once_whatever_its_removal_setting(
    tmp_path: Path,
) -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "bullmq").exists():
        pytest.skip("BullMQ is not installed for Node: make heavy")
    pytest.importorskip("bullmq", reason="the extra bullmq is not installed")
    from tests.destinations.conformance.redis_setup import PASSWORD, bullmq  # noqa: PLC0415 - needs the extra

    async with bullmq() as setup:
        assert setup.port is not None
        worker = await asyncio.create_subprocess_exec(
            *(node, "-e", WORKER, "worker", str(setup.port), PASSWORD),
            cwd=NODE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert worker.stdout is not None
        try:
            assert await worker.stdout.readline() == b"ready\n"
            for number in (1, 2, 1, 2, 3):
                await setup.destination.send([event(f"e-{number}")])
            jobs = [json.loads(await worker.stdout.readline()) for _ in range(3)]
            # A finished job is deduplicated, although the worker would remove it.
            await setup.destination.send([event("e-1")])
            await setup.destination.send([event("e-4")])
            jobs.append(json.loads(await worker.stdout.readline()))
        finally:
            worker.kill()
            await worker.wait()
    assert [job["data"]["id"] for job in jobs] == ["e-1", "e-2", "e-3", "e-4"]
    assert {job["name"] for job in jobs} == {"order/placed"}
