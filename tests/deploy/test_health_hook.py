"""The hook that fails a deployment whose relay does not start, with a real relay."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.local.processes import RelayProcess, free_port
from relay.local.sqs import SqsServer

PLATFORM = Path(__file__).parents[2] / ".platform"
QUICKLY = {"RELAY_HOOK_ATTEMPTS": "5", "RELAY_HOOK_PAUSE": "0"}
PATIENTLY = {"RELAY_HOOK_ATTEMPTS": "100", "RELAY_HOOK_PAUSE": "0.2"}
HOOKS = pytest.mark.parametrize("hooks", ["hooks", "confighooks"])


@pytest.fixture
async def sqs() -> AsyncIterator[SqsServer]:
    async with SqsServer() as server:
        yield server


def relay(sqs: SqsServer, port: int, log: Path, **settings: str) -> RelayProcess:
    variables = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": sqs.url,
        "PORT": str(port),
        "RELAY_QUEUE_URL": f"{sqs.url}/000000000000/main",
        # Nothing listens there.
        "RELAY_INNGEST_URL": f"http://127.0.0.1:{free_port()}",
        "RELAY_INNGEST_EVENT_KEY": "test",
        "RELAY_CONFIRM": "off",
    }
    return RelayProcess("serve", settings=variables | settings, output=log, port=port)


async def run(hooks: str, port: int, root: Path, pace: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        PLATFORM / hooks / "postdeploy/90-health.sh",
        env={
            "PATH": os.environ["PATH"],
            "RELAY_HOOK_URL": f"http://127.0.0.1:{port}/health",
            "RELAY_HOOK_ROOT": str(root),
            **pace,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@HOOKS
async def test_a_relay_that_does_not_start_fails_its_deployment(hooks: str, tmp_path: Path) -> None:
    log = tmp_path / "var/log/web.stdout.log"
    log.parent.mkdir(parents=True)
    log.write_text("ModuleNotFoundError: No module named 'relay'\n")
    code, output = await run(hooks, free_port(), tmp_path, QUICKLY)
    assert code == 1
    assert "does not answer" in output
    assert "ModuleNotFoundError" in output


async def test_without_a_log_it_says_so(tmp_path: Path) -> None:
    code, output = await run("hooks", free_port(), tmp_path, QUICKLY)
    assert code == 1
    assert "there is no" in output


@HOOKS
async def test_an_orchestrator_that_is_down_fails_no_deployment(
    hooks: str, sqs: SqsServer, tmp_path: Path
) -> None:
    port = free_port()
    async with relay(sqs, port, tmp_path / "log"):
        assert await run(hooks, port, tmp_path, QUICKLY) == (0, "")


async def test_a_wrong_setting_that_halts_the_relay_fails_no_deployment(
    sqs: SqsServer, tmp_path: Path
) -> None:
    # The next configuration change is the fix, and must not be rolled back for the same reason.
    port = free_port()
    async with relay(sqs, port, tmp_path / "log", RELAY_HOLD="abc"):
        assert await run("hooks", port, tmp_path, QUICKLY) == (0, "")


async def test_it_waits_for_a_relay_that_is_still_starting(sqs: SqsServer, tmp_path: Path) -> None:
    port = free_port()
    asked = asyncio.create_task(run("hooks", port, tmp_path, PATIENTLY))
    async with relay(sqs, port, tmp_path / "log"):
        assert await asked == (0, "")


async def test_one_answer_between_two_crashes_is_not_enough(tmp_path: Path) -> None:
    requests = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await reader.readuntil(b"\r\n\r\n")
        status = b"502 Bad Gateway" if requests % 3 == 0 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        code, _ = await run("hooks", port, tmp_path, QUICKLY)
    assert code == 1
