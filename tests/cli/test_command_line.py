"""The command line as a whole: help, version, exit codes, start-up cost and odd arguments."""

import importlib.metadata
import shlex
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from relay.cli import COMMANDS, application
from tests.cli.conftest import Relay

HEAVY = ("aiobotocore", "boto3", "botocore", "rich", "httpx", "starlette", "moto", "pydantic")
LOCAL = {"RELAY_INNGEST_URL": "http://127.0.0.1:1"}


async def test_the_help_lists_every_command_and_the_exit_codes(process: Relay) -> None:
    result = await process("--help", COLUMNS="200")
    assert result.code == 0
    assert all(summary in result.out for summary in COMMANDS.values())
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage or settings" in result.out


async def test_no_arguments_print_the_help_and_are_wrong_usage(process: Relay) -> None:
    result = await process()
    assert result.code == 2
    assert "send" in result.out + result.err


async def test_the_version_is_that_of_the_distribution(process: Relay) -> None:
    result = await process("--version")
    assert result.out.strip() == f"relay {importlib.metadata.version('sqs-relay')}"


async def test_an_unknown_command_is_answered_with_the_nearest_one(process: Relay) -> None:
    result = await process("sned")
    assert result.code == 2
    assert "send" in result.err


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_of_a_command_explains_its_exit_codes(name: str) -> None:
    module = import_module(f"relay.cli.{name}")
    if not isinstance(module.command, typer.Typer):
        assert module.EXIT_CODES.startswith("Exit codes: 0 ")
        assert module.command.__doc__


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_examples_in_the_help_of_a_command_are_valid_command_lines(name: str) -> None:
    module = import_module(f"relay.cli.{name}")
    if isinstance(module.command, typer.Typer):
        return  # has subcommands with their own
    command = typer.main.get_group(application([name])).commands[name]
    for example in module.EXAMPLES.splitlines():
        assert len(example) <= 76, "it does not fit into 80 columns"
        arguments = shlex.split(example.partition(f"relay {name}")[2].partition(" | ")[0])
        command.make_context(name, arguments, resilient_parsing=False)


async def test_the_help_of_a_command_ends_with_examples_and_shows_flags_without_a_type(
    process: Relay,
) -> None:
    result = await process("send", "--help", COLUMNS="80")
    assert "\n  relay send events.jsonl --queue orders " in result.out
    assert "<bool>" not in result.out
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("name", [None, "config"])
def test_a_command_loads_no_library_that_it_does_not_need(name: str | None) -> None:
    arguments = [name] if name else []
    code = (
        f"import sys; from relay.cli import application; application({arguments!r});"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ("['pydantic']" if name else "[]")


@pytest.mark.parametrize(
    "address",
    ["http://user:s3cr3t@127.0.0.1:8000", "http://[::1", "ftp://localhost", "localhost:8000"],
)
async def test_status_refuses_bad_addresses_and_never_prints_a_password(
    relay: Relay, address: str
) -> None:
    result = await relay("status", "--relay", address, **LOCAL)
    assert result.code == 2
    assert "--relay takes an address such as" in result.err
    assert "s3cr3t" not in result.err + result.out


@pytest.mark.parametrize("ident", ["", "  "])
async def test_trace_refuses_an_empty_id(relay: Relay, ident: str) -> None:
    result = await relay("trace", ident, **LOCAL)
    assert result.code == 2
    assert "the id is empty" in result.err


async def test_trace_accepts_a_since_before_the_first_calendar_year(relay: Relay) -> None:
    result = await relay("trace", "order-1", "--since", "99999999999d", **LOCAL)
    assert result.code == 1
    assert result.out == "No record of order-1 was found.\n"
