"""The bundle alone, in an empty folder and a new virtual environment, serves a message."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from relay.local.inngest import InngestServer
from relay.local.processes import free_port
from relay.local.sqs import SqsServer
from relay_cdk import bundle

INSTALLING = 240.0
STARTING = 30.0


@asynccontextmanager
async def process(
    folder: Path, command: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command as the platform does: in a shell, without this process's environment."""
    running = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", command),
        cwd=folder,
        env={name: os.environ[name] for name in INHERITED if name in os.environ} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGTERM)
            await running.communicate()


INHERITED = ("HOME", "PIP_INDEX_URL", "PIP_CERT", "PIP_FIND_LINKS", "PIP_CACHE_DIR", "https_proxy")
"""Variables that pip may need to reach its index."""


async def run(folder: Path, command: str, **environment: str) -> None:
    async with process(folder, command, **environment) as running, asyncio.timeout(INSTALLING):
        output, _ = await running.communicate()
    assert running.returncode == 0, output.decode()


async def wait_until_healthy(url: str, running: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(STARTING):
        while True:
            assert running.returncode is None, "the process ended"
            try:
                if (await client.get(f"{url}/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


@pytest.mark.fresh_venv
async def test_its_own_procfile_line_serves_a_message(tmp_path: Path) -> None:
    bundle.write(tmp_path / "relay.zip")
    folder = tmp_path / "current"
    with zipfile.ZipFile(tmp_path / "relay.zip") as packed:
        packed.extractall(folder)
    venv = tmp_path / "venv"
    path = f"{venv}/bin:{os.environ['PATH']}"
    # Uses this environment's pip, so that the new one needs none.
    pip = f"{sys.executable} -m pip --python {venv}/bin/python"
    await run(tmp_path, f"{sys.executable} -m venv --without-pip {venv}", PATH=path)
    await run(
        folder,
        f"{pip} install --quiet --no-compile --require-hashes -r requirements.txt",
        PATH=path,
    )
    await run(folder, f"{pip} check", PATH=path)
    name, command = (folder / "Procfile").read_text().strip().split(": ", 1)
    assert name == "web"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with SqsServer() as sqs, InngestServer() as inngest:
        variables = {
            "PATH": path,
            "PORT": str(port),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": sqs.url,
            "RELAY_INNGEST_URL": inngest.url,
            "RELAY_INNGEST_EVENT_KEY": "test",
            "RELAY_CONFIRM": "off",
        }
        async with process(folder, command, **variables) as running:
            await wait_until_healthy(url, running)
            async with httpx.AsyncClient() as client:
                answer = await client.post(
                    f"{url}/",
                    json={"name": "shop/order", "data": {}},
                    headers={"X-Aws-Sqsd-Msgid": "m-1", "X-Aws-Sqsd-Queue": "main"},
                )
        assert answer.status_code == 200
        assert [event.name for event in inngest.events] == ["shop/order"]
