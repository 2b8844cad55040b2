"""Shell completion: what bash itself offers, and what the scripts of the other shells ask for."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Relay

BASH = """
source {script}
COMP_WORDS=({words}); COMP_CWORD={position}
_relay_completion {relay}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A `relay` in a directory of its own, as a package manager would install it."""
    program = tmp_path / "bin" / "relay"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m relay "$@"\n')
    program.chmod(0o755)
    return program


async def bash(script: str, environ: dict[str, str]) -> list[str]:
    """The lines that bash prints for a script."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "-c", script),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert err.decode() == ""
    return out.decode().splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("st", ["status"]),
        ("--v", ["--version"]),
        ("status --re", ["--relay"]),
        ("dlq re", ["report", "redrive", "restore"]),
        ("dlq list --na", ["--name"]),
        ("demo --destination te", ["temporal"]),
    ],
)
async def test_bash_completes_commands_and_their_options(
    environ: dict[str, str], tmp_path: Path, installed: Path, line: str, offered: list[str]
) -> None:
    environ = {**environ, "HOME": str(tmp_path), "PATH": f"{installed.parent}:{os.environ['PATH']}"}
    # `--install-completion` looks at the shell that it was called from.
    await bash("relay --install-completion; :", environ)
    words = ["relay", *line.split()]
    script = BASH.format(
        script=tmp_path / ".bash_completions" / "relay.sh",
        words=" ".join(words),
        position=len(words) - 1,
        relay=installed,
    )
    assert await bash(script, environ) == offered
    assert "relay.sh" in (tmp_path / ".bashrc").read_text()


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "relay trace --sca"}),
        (
            "fish",
            {
                "_TYPER_COMPLETE_ARGS": "relay trace --sca",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
        ),
    ],
)
async def test_zsh_and_fish_get_the_options_of_a_command_too(
    process: Relay, shell: str, variables: dict[str, str]
) -> None:
    result = await process(_RELAY_COMPLETE=f"complete_{shell}", **variables)
    assert "--scan-dlq" in result.out
    assert result.code == 0
