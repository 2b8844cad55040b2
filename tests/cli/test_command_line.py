"""The command line as a stranger meets it."""

import importlib.metadata
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from relay.cli import COMMANDS
from tests.cli.conftest import Relay

HEAVY = ("aiobotocore", "boto3", "botocore", "rich", "httpx", "starlette", "moto", "pydantic")


async def test_the_help_lists_every_command_and_the_exit_codes(process: Relay) -> None:
    ended = await process("--help", COLUMNS="200")
    assert ended.code == 0
    assert all(summary in ended.out for summary in COMMANDS.values())
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage or settings" in ended.out


async def test_no_arguments_show_the_help_and_are_wrong_usage(process: Relay) -> None:
    ended = await process()
    assert ended.code == 2
    assert "send" in ended.out + ended.err


async def test_the_version_is_that_of_the_distribution(process: Relay) -> None:
    ended = await process("--version")
    assert ended.out.strip() == f"relay {importlib.metadata.version('sqs-relay')}"


async def test_an_unknown_command_is_told_the_nearest_one(process: Relay) -> None:
    ended = await process("sned")
    assert ended.code == 2
    assert "send" in ended.err


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_says_in_its_help_what_its_exit_codes_mean(name: str) -> None:
    module = import_module(f"relay.cli.{name}")
    if not isinstance(module.command, typer.Typer):
        assert module.EXIT_CODES.startswith("Exit codes: 0 ")
        assert module.command.__doc__


@pytest.mark.parametrize("name", [None, "config"])
def test_starting_a_command_loads_no_library_that_it_does_not_need(name: str | None) -> None:
    arguments = [name] if name else []
    code = (
        f"import sys; from relay.cli import application; application({arguments!r});"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ("['pydantic']" if name else "[]")
