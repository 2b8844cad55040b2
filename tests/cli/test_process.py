"""How a command starts and exits: signals, closed streams, a full disk and ports in use."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from relay.__main__ import FAILED, INTERRUPTED, TERMINATED
from tests.cli.conftest import LocalSqs, Relay

FULL = Path("/dev/full")
PROCESS_1 = ["unshare", "--pid", "--fork"]
KEY = {"RELAY_INNGEST_EVENT_KEY": "k", "RELAY_METRICS": "none"}
INTERRUPTING = """
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{signal})

# A job that a shell started in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder)
sys.argv = ["relay", "config"]
from relay.__main__ import main
main()
"""


def run(
    command: list[str], out: IO[str] | int = subprocess.PIPE, err: IO[str] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))}
    return subprocess.run(command, stdout=out, stderr=err, text=True, check=False, env=kept)


def run_relay(
    words: str, out: IO[str] | int, err: IO[str] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "relay", *words.split()], out, err)


def as_process_1(*command: str) -> bool:
    """Whether a command can be run as process 1 of its own namespace."""
    if shutil.which(PROCESS_1[0]) is None:
        return False
    return subprocess.run([*PROCESS_1, *command], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("library", ["typer", "pydantic"])
def test_an_interruption_while_libraries_load_exits_without_a_traceback(library: str) -> None:
    found = run([sys.executable, "-c", INTERRUPTING.format(name=library, signal="SIGINT")])
    assert found.returncode == INTERRUPTED == 128 + signal.SIGINT
    assert found.stderr == "relay: interrupted\n"


@pytest.mark.skipif(not as_process_1("true"), reason="needs the right to create namespaces")
@pytest.mark.parametrize("library", ["typer", "pydantic"])
def test_process_1_of_a_container_can_be_stopped_while_libraries_load(library: str) -> None:
    code = INTERRUPTING.format(name=library, signal="SIGTERM")
    found = run([*PROCESS_1, sys.executable, "-c", code])
    assert (found.returncode, found.stderr) == (TERMINATED, "")
    assert TERMINATED == 128 + signal.SIGTERM


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["config --json", "config --markdown", "--help"])
def test_a_full_disk_is_reported_in_one_sentence(words: str) -> None:
    with FULL.open("w") as full:
        found = run_relay(words, full)
    assert found.returncode == FAILED
    assert found.stderr == "relay: the output cannot be written: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_with_nowhere_to_write_the_exit_code_still_reports_the_failure() -> None:
    with FULL.open("w") as full:
        found = run_relay("config --json", full, full)
    assert found.returncode == FAILED


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_not_crash_a_command(closed: str) -> None:
    line = f"exec {sys.executable} -m relay config {closed}"
    found = run(["/bin/sh", "-c", line])
    assert found.returncode == 2, "there is no event key"
    assert "Traceback" not in found.stderr


def test_a_closed_pipe_is_not_an_error() -> None:
    line = f"{sys.executable} -m relay config --markdown | head -1"
    found = run(["/bin/sh", "-c", line])
    assert found.stderr == ""


@pytest.mark.parametrize("command", ["serve", "poll"])
async def test_a_port_in_use_is_reported_with_the_settings_to_change(
    command: str, process: Relay, local_sqs: LocalSqs
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = await process(command, RELAY_QUEUE_URL="plain", PORT=port, **KEY)
    assert result.code == 1
    last = result.err.splitlines()[-1]
    assert last.startswith(f"relay: cannot listen on 127.0.0.1:{port}: Address already in use: set")
    assert "Traceback" not in result.err


async def test_a_host_that_does_not_resolve_is_reported(
    process: Relay, local_sqs: LocalSqs
) -> None:
    result = await process("serve", RELAY_HOST="no such host", **KEY)
    assert result.code == 1
    assert "relay: cannot listen on no such host:8000: " in result.err
