"""`relay console`: its options, what it prints, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from relay.local.processes import CONSOLE_AT
from tests.cli.conftest import Relay, environ, process, relay  # noqa: F401 - fixtures

SETTINGS = {"RELAY_INNGEST_URL": "http://127.0.0.1:1"}


def test_it_prints_an_address_that_opens_it_and_ends_at_a_signal(
    environ: dict[str, str],  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "relay", "console", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environ | SETTINGS | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:  # noqa: F811 - of this test
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            printed = rf"{CONSOLE_AT}http://127\.0\.0\.1:\d+/\?token=[\w-]{{43}}\n"
            assert re.fullmatch(printed, line)
            address = line.removeprefix(CONSOLE_AT).strip()
            with httpx.Client(trust_env=False, follow_redirects=True) as browser:
                page = browser.get(address)
            assert page.status_code == 200
            assert "read-only" in page.text
            assert "No queue is configured: set RELAY_QUEUE_URL to show it" in page.text
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()  # or a failure would wait for ever


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_it_listens_everywhere_only_if_it_knows_its_address(
    relay: Relay,  # noqa: F811 - the fixture
    host: str,
) -> None:
    result = await relay("console", "--host", host, **SETTINGS)
    assert result.code == 2
    assert "needs --base-url" in result.err


@pytest.mark.parametrize(
    "url",
    ["ops.example", "ftp://ops.example", "https://u:p@ops.example", "https://[", "https://x?y"],
)
async def test_a_base_url_is_an_address(
    relay: Relay,  # noqa: F811 - the fixture
    url: str,
) -> None:
    result = await relay("console", "--base-url", url, **SETTINGS)
    assert result.code == 2
    assert "--base-url takes an address such as" in result.err


async def test_a_taken_port_is_named(process: Relay) -> None:  # noqa: F811 - the fixture
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = await process("console", "--port", port, **SETTINGS)
    assert result.code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.err
    assert "--port" in result.err


def test_without_the_extra_it_says_what_to_install() -> None:
    code = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name == "jinja2" else find(name, *more)
sys.argv = ["relay", "console"]
from relay.__main__ import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "pip install 'sqs-relay[console]'" in ended.stderr
    assert "Traceback" not in ended.stderr
