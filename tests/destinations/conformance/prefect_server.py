"""Prefect's own server, in an environment of its own, with a deployment to start.

On SQLite it answers 503 wherever two transactions meet, and its own client then asks again. So does
everybody here who asks it, without the reading of certificates that loopback has no use for.
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
from tests.destinations.conformance.sides import Side, behind, passing_on

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".heavy" / "prefect" / "bin" / "python"
PATIENCE = 120.0
"""Seconds for its start, and for an answer that is none of its 503."""

BUSY = 503


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prefect_process(home: Path) -> Iterator[tuple[str, Popen[bytes]]]:
    """A server that answers, its API's URL. Nothing schedules and sweeps beside it."""
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


def settle_in(home: Path, like: Path) -> None:
    """Copy the database of another server, which saves a new one the making of its tables."""
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


def asked(url: str, method: str, path: str, **body: Any) -> Any:
    """What it answers, as JSON."""
    end = monotonic() + PATIENCE
    while True:
        answer = httpx.request(
            method, f"{url}/{path}", json=body or None, timeout=30.0, verify=False
        )
        if answer.status_code != BUSY or monotonic() > end:
            assert answer.is_success, answer.text
            return answer.json()


def deployment(url: str, flow: str) -> str:
    """A deployment, new if need be, whose flow takes an event that is an object."""
    schema = {
        "type": "object",
        "properties": {"event": {"type": "object"}},
        "required": ["event"],
    }
    flow_id = asked(url, "POST", "flows/", name=flow)["id"]
    found = asked(
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
    found: list[dict[str, Any]] = asked(
        url, "POST", "flow_runs/filter", deployments=wanted, limit=200
    )
    return found


@asynccontextmanager
async def prefect(url: str, flow: str, monkeypatch: Any) -> AsyncIterator[Side]:
    """The destination against the server, with a proxy between that answers for it if told so."""
    deployment_id = deployment(url, flow)
    async with Server(_patient(passing_on(url.removesuffix("/api")))) as server:
        variables = {
            "RELAY_PREFECT_API_URL": f"{server.url}/api",
            "RELAY_PREFECT_DEPLOYMENT": f"{flow}/main",
        }

        def started() -> int:
            return len(runs(url, deployment_id))

        async with behind("prefect", server, started, variables, monkeypatch) as side:
            yield side


def _patient(respond: Callable[[ApiRequest], Answer]) -> Callable[[ApiRequest], Answer]:
    def until_it_answers(question: ApiRequest) -> Answer:
        end = monotonic() + PATIENCE
        while True:
            answer = respond(question)
            if answer.status != BUSY or monotonic() > end:
                return answer

    return until_it_answers
