"""Prefect's own server, in a separate environment, with a deployment to start.

On SQLite it answers 503 when two transactions collide, and its own client then retries. All
requests here retry too. They load no CA certificates, which loopback does not need.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from relay.local.orchestrators import Server
from relay.local.orchestrators.server import Answer, ApiRequest
from tests.destinations.conformance.setups import Setup, forward_to, setup_behind

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".heavy" / "prefect" / "bin" / "python"
PATIENCE = 120.0
"""Seconds for its start, and for an answer other than 503."""

BUSY = 503


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prefect_process(home: Path) -> Iterator[tuple[str, Popen[bytes]]]:
    """A running server and its API's URL, without background services."""
    if not PYTHON.exists():
        pytest.skip("Prefect is not installed: make heavy")
    port = _free_port()
    command = [str(PYTHON), "-m", "prefect", "server", "start", "--no-services"]
    with (home / "prefect.log").open("ab") as log:
        process = Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=_environment(home),
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        _answering(url, process, home)
        yield url, process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def copy_database(home: Path, like: Path) -> None:
    """Copy the database of another server, so that a new one need not create its tables."""
    with (
        closing(sqlite3.connect(like / "prefect.db")) as made,
        closing(sqlite3.connect(home / "prefect.db")) as empty,
    ):
        made.backup(empty)


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


def _answering(url: str, process: Popen[bytes], home: Path) -> None:
    end = monotonic() + PATIENCE
    while process.poll() is None and monotonic() < end:
        try:
            if httpx.get(f"{url}/health", timeout=5.0, verify=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            sleep(0.1)
    raise AssertionError(f"Prefect does not answer: {(home / 'prefect.log').read_text()[-2000:]}")


def request_json(url: str, method: str, path: str, **body: Any) -> Any:
    """The server's answer, as JSON."""
    end = monotonic() + PATIENCE
    while True:
        answer = httpx.request(
            method, f"{url}/{path}", json=body or None, timeout=30.0, verify=False
        )
        if answer.status_code != BUSY or monotonic() > end:
            assert answer.is_success, answer.text
            return answer.json()


def deployment(url: str, flow: str) -> str:
    """A deployment whose flow takes an event that is an object; created if it does not exist."""
    schema = {
        "type": "object",
        "properties": {"event": {"type": "object"}},
        "required": ["event"],
    }
    flow_id = request_json(url, "POST", "flows/", name=flow)["id"]
    found = request_json(
        url,
        "POST",
        "deployments/",
        name="main",
        flow_id=flow_id,
        parameter_openapi_schema=schema,
        enforce_parameter_schema=True,
    )
    return str(found["id"])


def runs(url: str, deployment_id: str) -> list[dict[str, Any]]:
    """All flow runs of the deployment."""
    wanted = {"id": {"any_": [deployment_id]}}
    found: list[dict[str, Any]] = request_json(
        url, "POST", "flow_runs/filter", deployments=wanted, limit=200
    )
    return found


@asynccontextmanager
async def prefect(url: str, flow: str, monkeypatch: Any) -> AsyncIterator[Setup]:
    """The destination with the server, through a proxy that can answer in its place."""
    deployment_id = deployment(url, flow)
    async with Server(_retry_busy(forward_to(url.removesuffix("/api")))) as server:
        variables = {
            "RELAY_PREFECT_API_URL": f"{server.url}/api",
            "RELAY_PREFECT_DEPLOYMENT": f"{flow}/main",
        }

        def started() -> int:
            return len(runs(url, deployment_id))

        async with setup_behind("prefect", server, started, variables, monkeypatch) as setup:
            yield setup


def _retry_busy(respond: Callable[[ApiRequest], Answer]) -> Callable[[ApiRequest], Answer]:
    def until_it_answers(question: ApiRequest) -> Answer:
        end = monotonic() + PATIENCE
        while True:
            answer = respond(question)
            if answer.status != BUSY or monotonic() > end:
                return answer

    return until_it_answers
