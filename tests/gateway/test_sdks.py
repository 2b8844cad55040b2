"""Inngest's own SDKs, unchanged, with the gateway, and what they make of each answer.

Their versions are pinned: INNGEST_JS_VERSION and INNGEST_PYTHON_VERSION in the Makefile, and
tests/gateway/sdks/go/go.mod. The table in docs/gateway.md is `ANSWERS`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from relay.local.sqs.faults import Fault
from relay.publishing.opening import PublisherOptions
from tests.destinations.wire import http, listening
from tests.gateway.running import KEY, running_gateway, until

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "sdks"
HOME = ROOT / ".heavy" / "sdks"
SDKS = ("javascript", "python", "go")
EVENTS = [{"name": "shop/order.created", "data": {"n": n}} for n in range(3)]

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


def javascript() -> list[str]:
    node = shutil.which("node")
    if node is None or not (HOME / "node_modules" / "inngest").exists():
        pytest.skip("the JavaScript SDK is not installed: make heavy")
    return [node, str(SCRIPTS / "send.mjs")]


def python() -> list[str]:
    interpreter = HOME / "python" / "bin" / "python"
    if not interpreter.exists():
        pytest.skip("the Python SDK is not installed: make heavy")
    return [str(interpreter), str(SCRIPTS / "send.py")]


def go() -> list[str]:
    program = HOME / "go-client"
    if not program.exists():
        pytest.skip("the Go SDK's client is not built: make heavy")
    return [str(program)]


COMMANDS: dict[str, Callable[[], list[str]]] = {
    "javascript": javascript,
    "python": python,
    "go": go,
}


@cache
def command(sdk: str) -> tuple[str, ...]:
    return tuple(COMMANDS[sdk]())


async def send(sdk: str, url: str, events: Any = EVENTS, key: str = KEY, env: str = "") -> Any:
    """What the SDK returned: its ids, or its error."""
    variables = {
        **os.environ,
        "INNGEST_EVENT_API_BASE_URL": url,
        "INNGEST_EVENT_KEY": key,
        "SDK_DIR": str(HOME),
    }
    process = await asyncio.create_subprocess_exec(
        *command(sdk),
        env={**variables, "SDK_ENV": env} if env else variables,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(json.dumps(events).encode())
    assert out, err.decode()
    return json.loads(out)


def ids_of(result: Any) -> list[str]:
    assert "ids" in result, result
    ids: list[str] = result["ids"]
    return ids


@pytest.mark.parametrize("sdk", SDKS)
async def test_an_sdk_sends_unchanged_and_gets_the_ids_that_are_in_the_queue(sdk: str) -> None:
    async with running_gateway() as gateway:
        ids = ids_of(await send(sdk, gateway.url, env="branch-7"))
        assert gateway.ids == ids
        assert len(set(ids)) == 3
        assert [event["data"] for event in gateway.events] == [{"n": n} for n in range(3)]
        (message,) = gateway.messages
        assert message.attributes["x-inngest-env"].string_value == "branch-7"


@pytest.mark.parametrize("sdk", SDKS)
async def test_an_sdk_keeps_its_own_ids(sdk: str) -> None:
    async with running_gateway() as gateway:
        events = [{"name": "shop/a", "id": "order-1"}, {"name": "shop/b"}]
        ids = ids_of(await send(sdk, gateway.url, events))
        assert gateway.ids == ids
        assert ids[0] == "order-1"


@pytest.mark.parametrize("sdk", SDKS)
async def test_a_base_url_that_ends_in_a_slash_works(sdk: str) -> None:
    async with running_gateway() as gateway:
        assert ids_of(await send(sdk, f"{gateway.url}/")) == gateway.ids


@pytest.mark.parametrize("sdk", SDKS)
async def test_a_send_that_is_repeated_after_a_failure_of_sqs_is_the_same_events(sdk: str) -> None:
    command(sdk)  # a skip in the task below would be lost
    lost = Fault(action="SendMessageBatch", drop=True, times=1)
    down = Fault(action="SendMessageBatch", error="ServiceUnavailable", status=503, times=None)
    async with running_gateway(options=PublisherOptions(timeout=0.3)) as gateway:
        gateway.sqs.faults.add(lost, down)
        sending = asyncio.create_task(send(sdk, gateway.url))
        await until(lambda: gateway.codes)
        gateway.sqs.faults.clear()
        ids = ids_of(await sending)
        assert set(gateway.codes) <= {"ServiceUnavailable", "NoAnswer", "no_answer"}
        assert len(gateway.messages) == 2  # the first answer was lost, not the message
        assert gateway.ids == ids * 2


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("key", ["wrong", "k3y-of-web-and-more"])
async def test_an_sdk_with_a_wrong_key_gets_an_error(sdk: str, key: str) -> None:
    async with running_gateway() as gateway:
        result = await send(sdk, gateway.url, key=key)
        assert "error" in result
        assert gateway.messages == []
        assert set(gateway.codes) == {"unknown_key"}


BAD: dict[str, Any] = {
    "no name": [{"name": ""}],
    "reserved name": [{"name": "shop/a"}, {"name": "inngest/x"}],
    "too large": [{"name": "shop/a", "data": {"text": "x" * 1_100_000}}],
    "too many": [{"name": "shop/a"}] * 5_001,
}


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("what", list(BAD))
async def test_an_sdk_gets_an_error_for_bad_events_and_none_is_sent(sdk: str, what: str) -> None:
    async with running_gateway() as gateway:
        result = await send(sdk, gateway.url, BAD[what])
        assert "error" in result
        assert gateway.messages == []


def answer(status: int, body: Any, **headers: str) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return http(status, text, content_type="application/json", **headers)


IDS = ["01A", "01B", "01C"]
OK, TRIED, AT_ONCE, NO_IDS = "ok", "error after 5 tries", "error at once", "success without ids"
ANSWERS: dict[str, tuple[bytes, dict[str, str]]] = {
    "200 with ids": (
        answer(200, {"ids": IDS, "status": 200}),
        {"javascript": OK, "python": OK, "go": OK},
    ),
    "202, `status` 200 in the body": (
        answer(202, {"ids": IDS, "status": 200}),
        {"javascript": OK, "python": OK, "go": AT_ONCE},
    ),
    "202, `status` 202 in the body": (
        answer(202, {"ids": IDS, "status": 202}),
        {"javascript": TRIED, "python": OK, "go": AT_ONCE},
    ),
    "400 with `error`": (
        answer(400, {"error": "no", "status": 400}),
        {"javascript": TRIED, "python": AT_ONCE, "go": AT_ONCE},
    ),
    "401 with `error`": (
        answer(401, {"error": "no", "status": 401}),
        {"javascript": TRIED, "python": AT_ONCE, "go": AT_ONCE},
    ),
    "413 with `error`": (
        answer(413, {"error": "no", "status": 413}),
        {"javascript": TRIED, "python": AT_ONCE, "go": AT_ONCE},
    ),
    "429 with `error`": (
        answer(429, {"error": "no", "status": 429}, retry_after="1"),
        {"javascript": TRIED, "python": AT_ONCE, "go": AT_ONCE},
    ),
    "503 with `error`": (
        answer(503, {"error": "no", "status": 503}),
        {"javascript": TRIED, "python": TRIED, "go": TRIED},
    ),
    "503, JSON without `error`": (
        answer(503, {"message": "no"}),
        {"javascript": TRIED, "python": NO_IDS, "go": TRIED},
    ),
    "503, HTML": (
        http(503, "<html>no</html>", content_type="text/html"),
        {"javascript": TRIED, "python": TRIED, "go": TRIED},
    ),
    "200, empty body": (
        http(200, ""),
        {"javascript": TRIED, "python": AT_ONCE, "go": NO_IDS},
    ),
    "a dropped connection": (b"", {"javascript": TRIED, "python": TRIED, "go": TRIED}),
}


async def outcome(sdk: str, reply: bytes) -> tuple[str, set[str]]:
    """What the SDK made of the answer, and the seeds that it sent."""

    async def drop(wire: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.read(reader)

    async with listening(reply, None if reply else drop) as wire:
        result = await send(sdk, wire.url)
        tries = len(wire.requests)
        seeds = {headers["x-inngest-event-id-seed"] for _, headers, _ in wire.requests}
    if "error" in result:
        return (TRIED if tries == 5 else AT_ONCE if tries == 1 else f"{tries} tries"), seeds
    return (OK if result["ids"] == IDS else NO_IDS if not result["ids"] else str(result)), seeds


@pytest.mark.parametrize("sdk", SDKS)
async def test_an_sdk_makes_of_each_answer_what_the_documentation_says(sdk: str) -> None:
    command(sdk)
    found = await asyncio.gather(*(outcome(sdk, reply) for reply, _ in ANSWERS.values()))
    made = dict(zip(ANSWERS, (what for what, _ in found), strict=True))
    assert made == {name: expected[sdk] for name, (_, expected) in ANSWERS.items()}
    assert all(len(seeds) == 1 for _, seeds in found), "one seed for all tries of a send"


def test_the_table_in_the_documentation_is_the_one_above() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    table = page.split("<!-- answers -->\n")[1].split("<!-- /answers -->")[0]
    rows = [
        f"| {name} | {' | '.join(by[sdk] for sdk in SDKS)} |" for name, (_, by) in ANSWERS.items()
    ]
    head = ["| answer | JavaScript | Python | Go |", "|---|---|---|---|"]
    assert table.strip().splitlines() == head + rows
