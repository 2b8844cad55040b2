"""Senders for the demo's gateway: Inngest's SDKs where they are installed, and HTTP like them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from relay.http import HttpClient, IncompleteResponse, NotConnected

TRIES = 5
FIRST_PAUSE = 0.1
"""Tries of one send, and seconds before the second, doubled for each other: as the SDKs have it."""

START = 20.0
"""Seconds in which an SDK must be ready; one that is not is left out."""

SEED_HEADER = "x-inngest-event-id-seed"

ANSWER_LIMIT = 1_048_576

_JAVASCRIPT = """
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { Inngest } = await import(pathToFileURL(require.resolve("inngest")).href);
const logger = { info() {}, warn() {}, error() {}, debug() {} };
const client = new Inngest({ id: "relay-demo", logger });
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  let result;
  try {
    result = { ids: (await client.send(JSON.parse(line))).ids };
  } catch (error) {
    result = { error: String(error.message ?? error) };
  }
  console.log(JSON.stringify(result));
}
"""


class Sender(Protocol):
    """Sends events to the gateway."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    async def send(self, events: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """The ids of the events; None if the gateway did not confirm them."""
        ...


class HttpSender:
    """Sends by HTTP with the headers and the tries of the SDKs.

    Args:
        url: the gateway's address.
        key: the event key.
    """

    name = "HTTP"

    def __init__(self, url: str, key: str) -> None:
        self._target = f"/e/{key}"
        self._client = HttpClient(
            url,
            {"content-type": "application/json", "x-inngest-sdk": "relay-demo"},
            connections=1,
            keep_alive=30.0,
            connect_timeout=2.0,
        )

    async def send(self, events: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """The ids of the events; None if no try was answered 200."""
        body = json.dumps(events).encode()
        entropy = base64.b64encode(secrets.token_bytes(10)).decode()
        seed = {SEED_HEADER: f"{time.time_ns() // 1_000_000},{entropy}"}
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            with contextlib.suppress(NotConnected, IncompleteResponse):
                answer = await self._client.post(self._target, body, seed, limit=ANSWER_LIMIT)
                if answer.status == HTTPStatus.OK:
                    return list(json.loads(answer.body)["ids"])
        return None

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


class SdkSender:
    """Sends with an SDK in a process of its own: a line of JSON in, a line out.

    Args:
        name: the SDK.
        process: has printed `ready`.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    async def send(self, events: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """The ids that the SDK returned; None if it reported an error.

        Raises:
            OSError: the SDK's process has ended.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps(events).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise OSError(f"the process of {self.name} ended")
        ids = json.loads(line).get("ids")
        # An SDK that reports success without ids would lose events unseen.
        return list(ids) if ids is not None and len(ids) == len(events) else None


@contextlib.asynccontextmanager
async def open_senders(url: str, key: str) -> AsyncIterator[Sequence[Sender]]:
    """Two senders by HTTP, and one for each SDK that is found, for as long as the block runs.

    Args:
        url: the gateway's address.
        key: the event key.
    """
    variables = {
        **{name: text for name, text in os.environ.items() if not name.startswith("INNGEST_")},
        "INNGEST_EVENT_API_BASE_URL": url,
        "INNGEST_EVENT_KEY": key,
    }
    async with AsyncExitStack() as stack:
        senders: list[Sender] = []
        for _ in range(2):
            by_http = HttpSender(url, key)
            stack.push_async_callback(by_http.aclose)
            senders.append(by_http)
        opening = [_first(name, some, variables, stack) for name, some in _commands().items()]
        senders += filter(None, await asyncio.gather(*opening))
        yield senders


def _commands() -> dict[str, list[list[str]]]:
    """How each SDK may be run; the first that has it is used."""
    script = str(Path(__file__).with_name("python_sdk.py"))
    pythons = [sys.executable, *filter(None, map(shutil.which, ("python3", "python")))]
    node = shutil.which("node")
    return {
        "the Python SDK": [[python, "-P", script] for python in dict.fromkeys(pythons)],
        "the JavaScript SDK": [[node, "--input-type=module", "-e", _JAVASCRIPT]] if node else [],
    }


async def _first(
    name: str, commands: Sequence[Sequence[str]], env: Mapping[str, str], stack: AsyncExitStack
) -> Sender | None:
    for command in commands:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        stack.push_async_callback(_end, process)
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START):
                if await process.stdout.readline() == b"ready\n":
                    return SdkSender(name, process)
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()  # closes the pipes, too
