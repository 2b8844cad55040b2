"""How the process of a command starts and ends when the world around it is not as usual."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from relay.__main__ import FAILED, INTERRUPTED

FULL = Path("/dev/full")
INTERRUPTING = """
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
sys.argv = ["relay", "config"]
from relay.__main__ import main
main()
"""


def ended(
    command: list[str], out: IO[str] | int = subprocess.PIPE, err: IO[str] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))}
    return subprocess.run(command, stdout=out, stderr=err, text=True, check=False, env=kept)


def relay(
    words: str, out: IO[str] | int, err: IO[str] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return ended([sys.executable, "-m", "relay", *words.split()], out, err)


@pytest.mark.parametrize("library", ["typer", "pydantic"])
def test_an_interruption_while_the_libraries_load_is_no_traceback(library: str) -> None:
    found = ended([sys.executable, "-c", INTERRUPTING.format(name=library)])
    assert found.returncode == INTERRUPTED == 128 + signal.SIGINT
    assert found.stderr == "relay: interrupted\n"


@pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("words", ["config --json", "config --markdown", "--help"])
def test_an_output_without_room_is_a_sentence(words: str) -> None:
    with FULL.open("w") as full:
        found = relay(words, full)
    assert found.returncode == FAILED
    assert found.stderr == "relay: the output cannot be written: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")
def test_where_not_even_the_reason_can_be_told_the_code_tells_it() -> None:
    with FULL.open("w") as full:
        found = relay("config --json", full, full)
    assert found.returncode == FAILED


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_shell_closed_is_nothing_to_fail_at(closed: str) -> None:
    line = f"exec {sys.executable} -m relay config {closed}"
    found = ended(["/bin/sh", "-c", line])
    assert found.returncode == 2, "there is no event key"
    assert "Traceback" not in found.stderr


def test_a_reader_that_has_seen_enough_is_no_reason_to_complain() -> None:
    line = f"{sys.executable} -m relay config --markdown | head -1"
    found = ended(["/bin/sh", "-c", line])
    assert found.stderr == ""
