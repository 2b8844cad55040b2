"""`relay serve` as a process that may open few files, with many idle connections to its port."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from relay.local.inngest.server import InngestServer
from relay.local.processes import free_port

FILES = 256
IDLE = 300


@asynccontextmanager
async def relay(url: str, log: Path) -> AsyncIterator[int]:
    """The port of a relay that may open 256 files."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))} | {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "RELAY_DLQ_URL": "http://127.0.0.1:9/000000000000/dead",
        "RELAY_INNGEST_URL": url,
        "RELAY_CONFIRM": "off",
        "RELAY_LOG_FILE": str(log),
        "PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f'ulimit -n {FILES}; exec "$0" -m relay serve',
        sys.executable,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.kill()
        await process.wait()


async def connect(port: int) -> asyncio.StreamWriter:
    async with asyncio.timeout(30):
        while True:
            try:
                return (await asyncio.open_connection("127.0.0.1", port))[1]
            except OSError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nx-aws"], ids=["nothing", "half"])
async def test_idle_connections_do_not_stop_delivery(tmp_path: Path, sent: bytes) -> None:
    log = tmp_path / "log"
    async with InngestServer() as inngest, relay(inngest.url, log) as port:
        idle = [await connect(port) for _ in range(IDLE)]
        for writer in idle:
            writer.write(sent)
        limits = httpx.Limits(max_connections=50)
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, limits=limits) as client:
            answers = await asyncio.gather(
                *(
                    client.post(
                        "/",
                        content='{"name": "user/greeted", "data": {}}',
                        headers={"x-aws-sqsd-msgid": f"m-{n}", "x-aws-sqsd-queue": "main"},
                        timeout=30,
                    )
                    for n in range(200)
                )
            )
        for writer in idle:
            writer.transport.abort()
    assert {answer.status_code for answer in answers} == {200}
    assert "nofile" in log.read_text()
