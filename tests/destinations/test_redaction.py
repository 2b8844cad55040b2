"""The event key appears in no error, log line or representation."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator

import pytest

from relay.destinations.inngest.event_api import Inngest
from relay.destinations.redaction import LOGGERS, ClientLogFilter
from relay.model.destination import BatchRefused, Unavailable
from relay.model.event import Event
from relay.output.redaction import Redactor
from tests.destinations.wire import api, http, listening

KEY = "evt/secret 4711"
QUOTED = "evt%2Fsecret%204711"
EVENTS = [Event(id="a", name="b"), Event(id="c", name="d")]


async def key() -> str:
    return KEY


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.DEBUG)
        yield caplog
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    "answer",
    [
        api(200, ids=["x", "y"]),
        http(301, Location=f"https://elsewhere/e/{QUOTED}"),
        http(404, f"Cannot POST /e/{QUOTED}"),
        api(401, error=f"the key {KEY} is not known"),
        api(400, ids=[], error=f"no such thing: {KEY}, /e/{QUOTED}"),
        b"HTTP/1.1 ??? " + QUOTED.encode() + b"\r\n\r\n",
    ],
)
async def test_a_key_echoed_by_the_server_is_not_shown(
    answer: bytes, everything: pytest.LogCaptureFixture
) -> None:
    shown = ""
    async with listening(answer) as wire, Inngest(wire.url, key) as inngest:
        try:
            await inngest.send(EVENTS)
        except (Unavailable, BatchRefused) as error:
            shown = repr(error) + error.reason + "".join(traceback.format_exception(error))
        shown += repr(inngest) + repr(vars(inngest)["_redactor"])
    shown += everything.text + "".join(record.getMessage() for record in everything.records)
    assert KEY not in shown
    assert QUOTED not in shown


async def test_the_clients_log_lines_are_redacted(everything: pytest.LogCaptureFixture) -> None:
    async with listening(api(200, ids=["x", "y"])) as wire, Inngest(wire.url, key) as inngest:
        await inngest.send(EVENTS)
        for name in LOGGERS:
            logging.getLogger(name).debug("POST /e/%s", QUOTED)
    assert everything.text.count("POST /e/***") == len(LOGGERS)


async def test_a_connection_error_does_not_show_the_key(
    everything: pytest.LogCaptureFixture,
) -> None:
    async with Inngest("http://user:password@127.0.0.1:1", key) as inngest:
        with pytest.raises(Unavailable) as caught:
            await inngest.send(EVENTS)
    shown = "".join(traceback.format_exception(caught.value)) + everything.text
    assert QUOTED not in shown
    assert "password" not in caught.value.reason


def test_the_log_filters_are_removed_when_the_destination_closes() -> None:
    before = [len(logging.getLogger(name).filters) for name in LOGGERS]
    with ClientLogFilter(Redactor()):
        assert [len(logging.getLogger(n).filters) for n in LOGGERS] == [b + 1 for b in before]
    assert [len(logging.getLogger(name).filters) for name in LOGGERS] == before
