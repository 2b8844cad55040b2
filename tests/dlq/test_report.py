"""The report: one file that loads nothing, with everything escaped and no secret in it."""

from __future__ import annotations

import json
import re
import shlex
import stat
from html.parser import HTMLParser
from pathlib import Path

from tests.dlq import incident
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute
from tests.hostile import IN_XML, assert_harmless

VOID = {"meta", "br"}
LOADING = {"script", "link", "img", "iframe", "object", "embed", "base", "form"}


class Document(HTMLParser):
    """Its elements, all closed in order, and the texts of its `pre` elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.pre: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        if tag == "pre":
            self.pre.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["pre"]:
            self.pre[-1] += data


REPORT = Path("night.html")


def written() -> str:
    return REPORT.read_text()


def mode() -> int:
    return stat.S_IMODE(REPORT.stat().st_mode)


async def write_report(relay: Relay, *words: str, **variables: str) -> str:
    ended = await relay("dlq", "report", "--html", "night.html", *words, *QUICK, **variables)
    assert ended.code == 0, ended
    return written()


async def test_it_has_every_group_its_samples_and_commands_to_copy(
    relay: Relay, queues: LocalQueues
) -> None:
    await incident.make_incident(queues)
    text = await write_report(relay, "--queue", incident.MAIN)
    document = Document(text)
    assert document.tags.count("section") == len(incident.KINDS)
    assert "325 messages with 235 pending events" in text
    assert "90 would only be dead-lettered again" in text
    assert incident.body_of(incident.ORDERS, 0) in document.pre
    commands = [shlex.split(text) for text in document.pre if text.startswith("relay ")]
    redrive = "relay dlq redrive --name shop/order.paid --code ts_in_seconds --dlq shop-events-dlq"
    assert shlex.split(redrive) in commands
    listed = await relay(*commands[0][1:], "--json", *QUICK)
    assert len(listed.out.splitlines()) == incident.PACKED.count


async def test_it_loads_nothing_and_producers_texts_are_escaped(
    relay: Relay, queues: LocalQueues
) -> None:
    attack = "</pre></style><script src='http://x.test'>alert(1)</script><img onerror=x src=y>"
    body = json.dumps({"name": f"n{attack}{IN_XML}", "id": f"i{attack}", "data": {"a": attack}})
    why = origin_attribute(attack, code=attack, reason=f"{attack}{IN_XML}", source=attack)
    await queues.send("dead", body, f"{attack}{IN_XML}", attributes=why)
    text = await write_report(relay)
    document = Document(text)
    assert not LOADING.intersection(document.tags)
    assert {name for name, _ in document.attributes} <= {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "id",
        "href",
    }
    assert all(re.fullmatch(r"#group-\d+", v or "") for n, v in document.attributes if n == "href")
    assert_harmless(text)


async def test_secrets_are_redacted(relay: Relay, queues: LocalQueues) -> None:
    secret = "a-secret-event-key-of-32-characters"
    url = "https://user:pass@shop.test/hook?X-Amz-Signature=abcdef0123456789"
    body = event(1, user={"key": secret, "url": url})
    why = origin_attribute("a", reason=f"401 for /e/{secret}")
    await queues.send("dead", body, attributes=why)
    text = await write_report(relay, RELAY_INNGEST_EVENT_KEY=secret)
    assert secret not in text
    assert "abcdef0123456789" not in text
    assert "user:pass" not in text


async def test_only_its_owner_can_read_it_and_nothing_is_overwritten(
    relay: Relay, queues: LocalQueues
) -> None:
    await queues.send("dead", event(1), attributes=origin_attribute("a"))
    await write_report(relay)
    assert mode() == 0o600
    before = written()
    again = await relay("dlq", "report", "--html", "night.html", *QUICK)
    assert (again.code, written()) == (2, before)
    assert "exists already" in again.err


async def test_filters_apply_to_it_and_json_says_how_many_it_has(
    relay: Relay, queues: LocalQueues
) -> None:
    for code in ("one", "one", "two"):
        await queues.send("dead", event(1), attributes=origin_attribute(code, code=code))
    words = ("dlq", "report", "--html", "night.html", "--code", "one", "--json")
    ended = await relay(*words, *QUICK)
    assert json.loads(ended.out) == {"type": "report", "file": "night.html", "count": 2}
    assert "two" not in written()
