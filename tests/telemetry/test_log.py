"""Where the log goes: standard output and a file, in which format, from which level on."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay.model.facts import CircuitChanged
from relay.model.outcome import Delivered
from relay.output.redaction import Redactor
from relay.telemetry.log import open_log
from relay.telemetry.log_format import JsonFormat
from relay.telemetry.log_observer import LogObserver, message_filter
from tests.telemetry.samples import POISON, event, observe, settled, wait_for


@contextmanager
def observing(screen: io.StringIO, **options: Any) -> Iterator[LogObserver]:
    with open_log(service="orders", redactor=Redactor(), screen=screen, **options) as log:
        yield LogObserver(log, message_filter=message_filter("all"))


def test_with_a_file_standard_output_has_all_but_the_messages(tmp_path: Path) -> None:
    screen, path = io.StringIO(), tmp_path / "audit.log"
    with observing(screen, file=path) as observer:
        observe(observer, settled(POISON, []))
        observe(observer, CircuitChanged(state="open", reason="refused", seconds=1.0))
    assert "refused" in screen.getvalue()
    assert "m-1" not in screen.getvalue()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("message_id") for line in lines] == ["m-1", None]


def test_the_level_applies_to_messages_too() -> None:
    screen = io.StringIO()
    with observing(screen, level="warning") as observer:
        observe(observer, settled())
        observe(observer, settled(POISON, []))
    assert len(screen.getvalue().splitlines()) == 1


def test_the_console_format_explains_what_was_left_out_of_an_event() -> None:
    screen = io.StringIO()
    with observing(screen, log_format="console") as observer:
        observe(observer, settled(notices=("unknown-field:prio", "odd")))
    assert screen.getvalue()[8:] == (
        " delivered shop/paid e-1 seconds=0.25; no event has a field prio: it is left out, so put"
        " it into data; odd\n"
    )


def test_the_console_format_has_short_lines() -> None:
    screen = io.StringIO()
    with observing(screen, log_format="console") as observer:
        observe(observer, settled())
        observe(observer, settled(POISON, []))
        observe(observer, settled(results=[(event("a"), Delivered())] * 2))
        observe(observer, CircuitChanged(state="open", reason="refused", seconds=1.0))
        logging.getLogger("relay.test").error("oh", exc_info=ValueError("why"))
    lines = screen.getvalue().splitlines()
    assert lines[0][8:] == " delivered shop/paid e-1 seconds=0.25"
    assert (
        lines[1][8:] == " rejected  a message m-1: the body is not JSON code=not_json seconds=0.25"
    )
    assert lines[2][8:] == " delivered 2 events in m-1 seconds=0.25"
    assert "refused" in lines[3]
    assert "ValueError: why" in screen.getvalue()


def test_other_libraries_log_from_level_warning_on() -> None:
    screen = io.StringIO()
    with observing(screen, level="debug"):
        logging.getLogger("httpx").info("POST https://host/e/key")
        logging.getLogger("httpx").warning("slow")
        logging.getLogger("relay.x").debug("fine")
    assert [json.loads(line)["message"] for line in screen.getvalue().splitlines()] == [
        "slow",
        "fine",
    ]


def test_it_restores_the_state_of_logging() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("relay").level)
    with observing(io.StringIO(), level="debug"):
        pass
    assert (root.level, list(root.handlers), logging.getLogger("relay").level) == before


def test_a_missing_directory_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    screen = io.StringIO()
    with open_log(
        service="orders",
        redactor=Redactor(),
        screen=screen,
        file=tmp_path / "missing" / "audit.log",
    ) as log:
        observe(LogObserver(log, message_filter=message_filter("all")), settled())
        wait_for(lambda: log.take_lost_lines() == 1)


def test_a_line_has_no_fields_that_depend_on_the_python_version() -> None:
    record = logging.makeLogRecord({"msg": "hello", "taskName": "Task-7", "setting": "RELAY_X"})
    line = json.loads(JsonFormat("orders").record(record))
    assert line.keys() == {"timestamp", "level", "service", "message", "location", "setting"}
