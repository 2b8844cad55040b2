"""Neither format of the log passes on a control character of a producer or a server."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from relay.model.event import Event
from relay.model.facts import Handled
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.telemetry.attempts import Attempts
from relay.telemetry.log_format import ConsoleFormat, JsonFormat
from relay.telemetry.message_line import MessageLines, format_timestamp
from tests.hostile import HOSTILE, assert_harmless, assert_shown

MESSAGE = Message(body=b"{}", message_id=HOSTILE, queue=HOSTILE, group_id=HOSTILE)
EVENT = Event(HOSTILE, HOSTILE, message_id=HOSTILE)
OUTCOMES = (Delivered(HOSTILE), Retry(HOSTILE), Reject(HOSTILE, HOSTILE))


def lines(*outcomes: Outcome) -> list[object]:
    results = tuple((EVENT, outcome) for outcome in outcomes)
    fact = Handled(message=MESSAGE, outcome=outcomes[0], at=1.0, seconds=1.0, results=results)
    return [*MessageLines(HOSTILE, Attempts(), payload=True).lines_of(fact, format_timestamp(1.0))]


def record() -> logging.LogRecord:
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301 - its traceback is what is logged
    except ValueError:
        raised = sys.exc_info()
    fields = {"msg": f"first\nsecond {HOSTILE}", "levelname": "ERROR", "levelno": 40}
    return logging.makeLogRecord({**fields, "exc_info": raised, "event": HOSTILE, "n": 1})


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_line_of_a_message(outcome: Outcome) -> None:
    for given in (lines(outcome), lines(outcome, *OUTCOMES)):
        console = ConsoleFormat(colour=False).messages(given, 1.0).decode()  # type: ignore[arg-type]
        assert_shown(console)
        assert len(console.splitlines()) == len(given)
        text = JsonFormat(HOSTILE).messages(given, 1.0).decode()  # type: ignore[arg-type]
        assert_harmless(text)
        assert json.loads(text)["queue"] == HOSTILE


def test_a_record_and_its_traceback() -> None:
    console = ConsoleFormat(colour=False).record(record())
    assert_shown(console)
    assert "first\\nsecond" in console.splitlines()[0]
    assert console.splitlines()[1] == "Traceback (most recent call last):"
    text = JsonFormat("relay").record(record())
    assert_harmless(text)
    assert json.loads(text)["event"] == HOSTILE


def test_only_our_own_colour_is_in_a_coloured_line() -> None:
    coloured = ConsoleFormat(colour=True).record(record())
    assert coloured.startswith("\x1b[31m")
    assert coloured.endswith("\x1b[0m")
    assert_harmless(coloured[5:-4])


def test_printable_text_of_any_script_is_not_escaped() -> None:
    event = Event("ид-1", "заказ/оплачен", message_id="m")
    message = Message(body=b"{}", message_id="m", queue="q")
    results = ((event, Delivered()),)
    fact = Handled(message=message, outcome=Delivered(), at=1.0, seconds=1.0, results=results)
    found = MessageLines("relay", Attempts()).lines_of(fact, "now")
    for log_format in (JsonFormat("relay"), ConsoleFormat(colour=False)):
        assert "заказ/оплачен" in log_format.messages(found, 1.0).decode()
