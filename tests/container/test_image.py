"""The image's file system, built without an engine, and the relay in it as in a container."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from relay.local.inngest import InngestServer
from relay.local.processes import free_port
from relay.local.sqs import SqsServer
from relay.local.sqs.queue_pair import create_pair
from relay.settings import clocks
from tests.container import root_filesystem
from tests.container.dockerfile import Stage, stages
from tests.container.running import Container
from tests.sources.poller.rig import until

_log = logging.getLogger(__name__)

MISSING = root_filesystem.missing_tool()
pytestmark = [
    pytest.mark.fresh_venv,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root file system of the image, which is too large to be kept."""
    folder = tmp_path_factory.mktemp("image")
    yield root_filesystem.build(folder)
    shutil.rmtree(folder)


@pytest.fixture
def stage() -> Stage:
    return stages()[-1]


def variables(sqs: SqsServer, inngest: InngestServer, port: int) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": sqs.url,
        "RELAY_QUEUE_URL": "relay",
        "RELAY_INNGEST_URL": inngest.url,
        "RELAY_INNGEST_EVENT_KEY": "test",
        "RELAY_METRICS": "none",
        "PORT": str(port),
    }


async def until_healthy(container: Container, port: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            assert container.running, container.text
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/health")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                assert answer.status_code == 200
                return


async def test_it_delivers_on_a_read_only_root_and_stops_in_time(
    image: Path, stage: Stage, tmp_path: Path
) -> None:
    port = free_port()
    async with SqsServer() as sqs, InngestServer() as inngest:
        queue, dlq = create_pair(sqs.account, "relay")
        began = time.monotonic()
        async with Container(
            image, stage, variables(sqs, inngest, port), tmp_path / "output"
        ) as container:
            await until_healthy(container, port)
            started = time.monotonic() - began
            await asyncio.to_thread(send, sqs.url, '{"name": "shop/order", "data": {}}')
            await until(lambda: len(inngest.events) == 1 and queue.counts() == (0, 0, 0))
            assert_unprivileged(container)
            healthy = await asyncio.to_thread(
                container.execute, *re.findall(r'"(\w+)"', stage.last("HEALTHCHECK").value)
            )
            assert healthy.returncode == 0, healthy.stderr
            async with asyncio.timeout(clocks.KILLED_AFTER):
                assert await container.stop(signal.SIGTERM) == 0
            output = container.text
    assert dlq.counts() == (0, 0, 0)
    assert "Traceback" not in output
    _log.info(
        "root file system %d MB, of it /opt/relay %d MB; healthy after %.1f s",
        root_filesystem.size(image),
        root_filesystem.size(image, "opt/relay"),
        started,
    )


def send(url: str, body: str) -> None:
    headers = {"x-amz-target": "AmazonSQS.SendMessage"}
    httpx.post(
        url, json={"QueueUrl": "relay", "MessageBody": body}, headers=headers
    ).raise_for_status()


def assert_unprivileged(container: Container) -> None:
    """Process 1 is the image's user, has no capabilities, and can write to nothing but /tmp."""
    assert set(container.status("Uid").split()) == {"10001"}
    assert set(container.status("Gid").split()) == {"10001"}
    assert int(container.status("CapEff"), 16) == 0
    assert container.status("NSpid").split()[-1] == "1"
    writing = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('x')"
    for path in ("/x", "/opt/relay/x", "/var/tmp/x", "/etc/x"):
        tried = container.execute("python", "-c", writing, path)
        assert tried.returncode == 1
        assert re.search("Read-only file system|Permission denied", tried.stderr)
    assert container.execute("python", "-c", writing, "/tmp/x").returncode == 0


async def test_a_stop_during_an_outage_is_in_time_and_loses_nothing(
    image: Path, stage: Stage, tmp_path: Path
) -> None:
    port = free_port()
    async with SqsServer() as sqs, InngestServer() as inngest:
        queue, dlq = create_pair(sqs.account, "relay")
        environment = variables(sqs, inngest, port) | {"RELAY_DRAIN_DEADLINE": "2"}
        await inngest.down()
        async with Container(image, stage, environment, tmp_path / "output") as container:
            await until_healthy(container, port)
            await asyncio.to_thread(send, sqs.url, '{"name": "shop/order", "data": {}}')
            await until(lambda: queue.counts()[1] == 1)
            async with asyncio.timeout(clocks.KILLED_AFTER):
                assert await container.stop(signal.SIGTERM) == 0
        assert (queue.counts(), dlq.counts()) == ((1, 0, 0), (0, 0, 0))


async def test_a_container_without_settings_says_what_is_missing(
    image: Path, stage: Stage, tmp_path: Path
) -> None:
    async with Container(image, stage, {}, tmp_path / "output") as container:
        async with asyncio.timeout(60):
            code = await container.finished()
    assert code == 2
    assert "relay: RELAY_QUEUE_URL is not set" in container.text


async def test_nothing_that_installs_or_builds_is_left(image: Path) -> None:
    tools = re.compile(r"(pip|setuptools|wheel|hatchling)(\d[\d.]*|-.*)?")
    assert [path for path in (image / "opt/relay").rglob("*") if tools.fullmatch(path.name)] == []
    assert list((image / "usr/local").rglob("pip*")) == []
    assert not any((image / folder).exists() for folder in ("src", "build", "wheel"))


async def test_the_files_cannot_be_changed_by_the_image_s_user(image: Path) -> None:
    files = list((image / "opt/relay").rglob("*"))
    assert files
    for path in files:
        found = path.lstat()
        assert found.st_uid == 0
        assert path.is_symlink() or not found.st_mode & 0o022, path


async def test_every_module_has_its_bytecode(image: Path) -> None:
    sources = list((image / "opt/relay").rglob("relay/**/*.py"))
    assert len(sources) > 100
    for source in sources:
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source
    assert os.access(image / "opt/relay/bin/relay", os.X_OK)
