"""Prefect's own server, in an environment of its own, with a deployment to start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import httpx
import pytest

from relay.local.orchestrators import Server
from tests.conformance.sides import Side, behind, passing_on

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".heavy" / "prefect" / "bin" / "python"
PATIENCE = 600
"""Tries, a tenth of a second apart."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prefect_process(home: Path) -> Iterator[tuple[str, Popen[bytes]]]:
    """A server that answers, its API's URL."""
    if not PYTHON.exists():
        pytest.skip("Prefect is not installed: make heavy")
    port = _free_port()
    process = Popen(
        [PYTHON, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=_environment(home),
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}/api", process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(home: Path) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }


async def answering(url: str) -> None:
    """Return when the server is healthy."""
    async with httpx.AsyncClient() as client:
        for _ in range(PATIENCE):
            try:
                if (await client.get(f"{url}/health")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError("Prefect does not answer")


async def deployment(url: str, flow: str) -> str:
    """A new deployment whose flow takes an event that is an object."""
    schema = {
        "type": "object",
        "properties": {"event": {"type": "object"}},
        "required": ["event"],
    }
    async with httpx.AsyncClient(base_url=f"{url}/") as client:
        made = await client.post("flows/", json={"name": flow})
        body = {
            "name": "main",
            "flow_id": made.json()["id"],
            "parameter_openapi_schema": schema,
            "enforce_parameter_schema": True,
        }
        found = await client.post("deployments/", json=body)
        assert found.status_code in (200, 201), found.text
        return str(found.json()["id"])


async def runs(url: str, deployment_id: str) -> list[dict[str, Any]]:
    """All flow runs of the deployment."""
    asked = {"deployments": {"id": {"any_": [deployment_id]}}, "limit": 200}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/flow_runs/filter", json=asked)
    found: list[dict[str, Any]] = answer.json()
    return found


@asynccontextmanager
async def prefect(url: str, flow: str, monkeypatch: Any) -> AsyncIterator[Side]:
    """The destination against the server, with a proxy between that answers for it if told so."""
    deployment_id = await deployment(url, flow)
    root = url.removesuffix("/api")
    async with Server(passing_on(root)) as server:
        variables = {
            "RELAY_PREFECT_API_URL": f"{server.url}/api",
            "RELAY_PREFECT_DEPLOYMENT": f"{flow}/main",
        }
        async with behind("prefect", server, lambda: 0, variables, monkeypatch) as side:

            async def started() -> int:
                return len(await runs(url, deployment_id))

            side.started = started
            yield side
