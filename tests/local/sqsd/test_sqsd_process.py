"""`python -m relay.local.sqsd`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import httpx

from relay.local.sqs import SqsServer


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relay.local.sqsd",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_sigterm_drains_and_exits_with_0(tmp_path: Path) -> None:
    requested, stopping = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        requested.set()
        await stopping.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    cron = tmp_path / "cron.json"
    cron.write_text(json.dumps({"version": 1, "cron": []}))
    application = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = application.sockets[0].getsockname()[1]
    async with SqsServer() as sqs, httpx.AsyncClient(verify=False) as http:  # plain HTTP
        queue = f"{sqs.url}/000000000000/main"
        sqs.account.create("main", {}, {})
        await http.post(
            sqs.url,
            headers={"X-Amz-Target": "AmazonSQS.SendMessage"},
            json={"QueueUrl": queue, "MessageBody": "a"},
        )
        target = ("--queue-url", queue, "--target", f"http://127.0.0.1:{port}")
        daemon = await start(*target, "--option", "HttpConnections=3", "--cron", str(cron))
        await requested.wait()
        daemon.send_signal(signal.SIGTERM)
        stopping.set()
        printed, _ = await daemon.communicate()
        assert daemon.returncode == 0
        assert printed.decode().startswith(f"posting messages of {queue} to ")
        assert not sqs.queues["main"].messages()
    application.close()
    await application.wait_closed()


async def test_a_wrong_option_exits_with_2_and_an_error_message() -> None:
    daemon = await start("--queue-url", "http://h/0/q", "--option", "HttpConnections=0")
    _, errors = await daemon.communicate()
    assert daemon.returncode == 2
    assert errors.decode() == "sqsd: HttpConnections must be between 1 and 100, not 0.\n"
