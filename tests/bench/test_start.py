"""What a start imports: a figure that does not depend on other load on the machine.

Importing is most of the CPU of a start and most of the memory of an idle relay.
"""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

MOST = {"poll": 635, "serve": 708}
"""Modules, 3 % above the counts on Python 3.11."""

HEAVY = ("aiobotocore", "aiohttp", "boto3", "botocore.session", "httpx", "pygments", "rich")
"""Packages that a relay for Inngest does not need, with its keys in the environment."""

SERVER = ("starlette", "uvicorn")
"""A server: of push mode, and of pull mode with health endpoints."""

IMPORTED = """
import asyncio, sys
import relay.__main__, relay.cli.{command}
from relay.app.destinations.inngest import open_inngest
from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.settings.loading import load

async def main():
    settings = load().settings
    async with open_session() as session, open_queue(session, settings.queue_url):
        await session.credentials()
        async with open_inngest(settings, lambda secret: None):
            pass

asyncio.run(main())
print(len(sys.modules), *sorted(set({packages}) & sys.modules.keys()))
"""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "RELAY_INNGEST_EVENT_KEY": "test",
    "RELAY_CONFIRM": "off",
    "RELAY_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/main",
}


@pytest.mark.parametrize("command", ["poll", "serve"])
async def test_a_start_imports_only_what_it_needs(command: str) -> None:
    unwanted = HEAVY + SERVER * (command == "poll")
    # Without the packages that other tests' tools would import, such as those of coverage.
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        IMPORTED.format(command=command, packages=unwanted),
        env={**kept, **ENVIRONMENT},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    count, *found = printed.decode().split()
    assert found == []
    assert int(count) <= MOST[command]


async def test_httpx_works_without_its_own_command_line() -> None:
    """`relay.__main__` keeps it from being imported, with pygments and rich."""
    text = (
        "import sys; sys.argv = ['relay', '--version']; from relay.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "import httpx; httpx.AsyncClient()\n"
        "print(sorted({'pygments', 'httpx._main'} & {n for n, m in sys.modules.items() if m}))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert printed.decode().splitlines()[-1] == "[]"
