"""What producers and servers write is text on the pages: no markup, no script, no control."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from html.parser import HTMLParser
from pathlib import Path

import httpx
import msgspec
import pytest

from relay.dlq.snapshot import Head, SnapshotWriter
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from tests.console.running import SETTINGS, eventually, local_queues, serving, working
from tests.hostile import HOSTILE, assert_harmless

SCRIPT = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><a href=javascript:alert(3)>x</a>"
)
TEMPLATE = "{{ 7 * 7 }}{% for x in y %}${7*7}"
EVIL = f"{SCRIPT}{TEMPLATE}{HOSTILE}"
HUGE = "x" * 200_000


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_safe(page: str) -> None:
    parser = Elements()
    parser.feed(page)
    scripts = [attributes for tag, attributes in parser.found if tag == "script"]
    assert [one.get("src") for one in scripts] == ["/static/console.js"]
    for tag, attributes in parser.found:
        assert tag != "img" or attributes.get("src") == "/static/icon.svg"
        assert not any(name.startswith("on") for name in attributes), attributes
        assert not (attributes.get("href") or "").lower().startswith("javascript"), attributes
    assert ">49" not in page
    assert_harmless(page)


def message(number: int, body: bytes, **more: str) -> Message:
    """A dead letter with a hostile origin and hostile attributes."""
    ascii_evil = EVIL.encode("ascii", "backslashreplace").decode()
    origin = Origin(id=f"base-{number}", hops=1, **{"source": EVIL, "code": EVIL, **more})  # type: ignore[arg-type]  # as the test has them
    return Message(
        body=body,
        message_id=f"id-{number}-{ascii_evil}",
        queue="dead",
        sent_at=1.8e9,
        group_id=ascii_evil,
        attributes={
            ATTRIBUTE: Attribute("String", origin.pack()),
            ascii_evil: Attribute("Binary", b"\x00\xff<script>"),
        },
    )


BODIES: Sequence[bytes] = (
    json.dumps({"name": EVIL, "id": EVIL, "data": {EVIL: EVIL}}).encode(),
    json.dumps([{"name": f"n{i}", "data": {"x": SCRIPT}} for i in range(50)]).encode(),
    json.dumps({"name": HUGE, "data": {"text": HUGE}}).encode(),
    SCRIPT.encode(),
    b"\x00\x01\xff\xfe<script>",
    b"",
    b"[" * 100_000,
    b'{"name":"n","data":{"n":' + b"9" * 50_000 + b"}}",
)


def write_snapshot(path: Path) -> None:
    head = Head(queue=SCRIPT, arn="arn", taken_at=1.8e9, retention=1_209_600.0, fifo=False)
    with SnapshotWriter(path, head) as writer:
        for number, body in enumerate(BODIES):
            writer.add(message(number, body, reason=EVIL))
        writer.add(message(98, b'{"name":"n","data":{}}', reason=HUGE[:1_000]))
        writer.add(
            msgspec.structs.replace(message(99, b"{}"), sent_at=1e300, first_received_at=-1e300)
        )
        writer.close(complete=False, left=3)


@pytest.fixture
async def hostile(tmp_path: Path, stack: AsyncExitStack) -> httpx.AsyncClient:
    """A console that shows the snapshot."""
    queues = await stack.enter_async_context(local_queues())
    queues.make("dead")
    queues.make("main", "dead")
    write_snapshot(tmp_path / "relay-dlq-snapshot-x.jsonl")
    settings = SETTINGS | {"RELAY_QUEUE_URL": "main"}
    console = await stack.enter_async_context(serving(queues, tmp_path, settings))
    browser = await console.browser(stack)
    text = await eventually(browser, "/dead-letters", working, ends=True)
    assert "No snapshot was taken" not in text, text
    return browser


async def test_the_pages_of_hostile_dead_letters_are_harmless(hostile: httpx.AsyncClient) -> None:
    for by in ("reason", "source", "hour", "shape"):
        page = await hostile.get("/dead-letters", params={"by": by})
        assert page.status_code == 200, page.text
        assert_safe(page.text)
    listed = (await hostile.get("/dead-letters/list")).text
    assert "10 dead letters" in listed
    assert_safe(listed)
    addresses = re.findall(r'href="(/dead-letter\?[^"]*)"', listed)
    assert len(addresses) == len(BODIES) + 2
    for address in addresses:
        page = await hostile.get(address.replace("&amp;", "&"))
        assert page.status_code == 200, page.text
        assert_safe(page.text)
        assert len(page.text) < 1_000_000


@pytest.mark.parametrize("path", ["/dead-letters/list", "/dead-letter", "/event", "/dead-letters"])
async def test_hostile_parameters_are_text(hostile: httpx.AsyncClient, path: str) -> None:
    names = ("q", "id", "name", "code", "source", "hour", "shape", "by", "page")
    for value in (EVIL, SCRIPT, "\x00", HUGE[:5_000], "%", "' OR 1=1"):
        sent = value.encode("utf-8", "backslashreplace").decode()
        page = await hostile.get(path, params=dict.fromkeys(names, sent))
        assert page.status_code in (200, 404), value
        assert_safe(page.text)


async def test_a_body_is_downloaded_and_never_rendered(hostile: httpx.AsyncClient) -> None:
    listed = (await hostile.get("/dead-letters/list")).text
    for address in re.findall(r'href="(/dead-letter\?[^"]*)"', listed):
        path = address.replace("/dead-letter?", "/dead-letter/body?")
        response = await hostile.get(path)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"].startswith("attachment")
        assert response.content in (*BODIES, b"{}", b'{"name":"n","data":{}}')
