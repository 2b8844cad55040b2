"""One line for each message at its end, two for an outage, none that blocks or leaks."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.facts import (
    CircuitChanged,
    DeadLettered,
    DeletedLate,
    DeleteFailed,
    Fact,
    Forwarded,
    IntakeChanged,
    LeaseLost,
    Received,
    ReleaseFailed,
)
from relay.message import Delivered, Reject, Retry
from relay.telemetry.form import Json
from relay.telemetry.log import open_log
from relay.telemetry.log_file import LogFile
from relay.telemetry.log_observer import PROMPT, LogObserver
from relay.telemetry.redaction import Redactor
from relay.telemetry.report import State
from relay.telemetry.sampling import chosen
from relay.telemetry.window import Window
from tests.telemetry.samples import NOW, TRACE, event, message, settled

POISON = Reject("not_json", "the body is not JSON")


def written(*facts: Fact, messages: str = "all", payload: bool = False) -> list[dict[str, Any]]:
    """The lines of JSON that these facts become."""
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, chosen=chosen(messages), payload=payload, clock=lambda: NOW)
        for fact in facts:
            observer.observe(fact)
    return [json.loads(line) for line in screen.getvalue().splitlines()]


def test_a_messages_line_tells_everything_about_it() -> None:
    told = event(trace=TRACE)
    (line,) = written(
        Received(message()),
        Forwarded(events=7, size=1, seconds=1.0, error="away", sent=[told]),
        Forwarded(events=3, size=1, seconds=0.1, sent=[told]),
        settled(
            Delivered("01ABC"),
            results=[(told, Delivered("01ABC"))],
            about=message(receive_count=2, group_id="g"),
            notices=("unknown-field:x",),
        ),
    )
    assert line.pop("batch").endswith("-2")
    assert line.pop("timestamp") == "2025-10-09T08:53:20.000+00:00"
    assert line == {
        "level": "INFO",
        "service": "orders",
        "message": "message delivered",
        "message_id": "m-1",
        "queue": "orders",
        "receive_count": 2,
        "seconds": 0.25,
        "age": 2.0,
        "group_id": "g",
        "notices": ["unknown-field:x"],
        "event_id": "e-1",
        "event_name": "shop/paid",
        "attempts": 2,
        "batch_events": 3,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "outcome": "delivered",
        "reference": "01ABC",
    }


def test_a_problem_says_why_and_what_comes_next() -> None:
    retried, rejected = written(
        settled(Retry("held for too long", after=60.0)),
        settled(Reject("ambiguous", "perhaps", may_have_run=True)),
    )
    assert (retried["outcome"], retried["reason"], retried["after"], retried["level"]) == (
        "retried",
        "held for too long",
        60.0,
        "INFO",
    )
    assert (rejected["outcome"], rejected["code"], rejected["may_have_run"]) == (
        "rejected",
        "ambiguous",
        True,
    )
    assert rejected["level"] == "WARNING"


def test_a_message_of_several_events_lists_them() -> None:
    (line,) = written(
        settled(
            POISON,
            results=[(event("a"), Delivered("r", duplicate=True)), (event("b"), POISON)],
            rejects=((2, Reject("empty_name", "no name")),),
        )
    )
    assert (line["outcome"], line["event_count"]) == ("rejected", 3)
    assert line["events"] == [
        {
            "id": "a",
            "name": "shop/paid",
            "outcome": "delivered",
            "reference": "r",
            "duplicate": True,
        },
        {
            "id": "b",
            "name": "shop/paid",
            "outcome": "rejected",
            "code": "not_json",
            "reason": "the body is not JSON",
        },
        {"index": 2, "outcome": "rejected", "code": "empty_name", "reason": "no name"},
    ]


def test_a_message_of_very_many_events_has_several_lines_and_every_event_once() -> None:
    many = [(event(f"e-{number}"), Delivered()) for number in range(250)]
    lines = written(settled(results=many))
    assert [(line["part"], line["parts"]) for line in lines] == [(1, 3), (2, 3), (3, 3)]
    assert [entry["id"] for line in lines for entry in line["events"]] == [e.id for e, _ in many]


def test_the_payload_is_written_only_where_it_was_asked_for() -> None:
    facts = (
        settled(results=[(event(data=b'{"card":"4111"}'), Delivered())]),
        settled(POISON, [], message(body=b"card 4111")),
    )
    assert "4111" not in json.dumps(written(*facts))
    with_data, with_body = written(*facts, payload=True)
    assert with_data["data"] == '{"card":"4111"}'
    assert with_body["body"] == "card 4111"


def test_an_address_in_an_id_is_shown_without_its_query() -> None:
    (line,) = written(settled(results=[(event("https://b.host/k?sig=1f"), Delivered())]))
    assert line["event_id"] == "https://b.host/k?***"


def test_a_copy_that_lost_something_is_told_as_a_stand_in() -> None:
    letter = DeadLettered(message=message(), code="not_json", reason="no", complete=False)
    (line,) = written(letter, settled(POISON, []))
    assert line["stand_in"]


def test_a_copy_whose_message_was_withdrawn_is_told_in_the_end() -> None:
    screen, now = io.StringIO(), [NOW]
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, chosen=chosen("all"), clock=lambda: now[0])
        observer.observe(DeadLettered(message=message(), code="not_json", reason="no"))
        observer.tell(Window(), State())
        now[0] += PROMPT
        observer.tell(Window(), State())
        observer.tell(Window(), State())
    (line,) = map(json.loads, screen.getvalue().splitlines())
    assert (line["message_id"], line["code"]) == ("m-1", "not_json")


def test_an_outage_is_two_lines_and_so_is_trouble_with_the_queue() -> None:
    lines = written(
        CircuitChanged(state="open", reason="refused", seconds=3_600.0),
        CircuitChanged(state="closed", reason="it answers again", seconds=421.0),
        IntakeChanged(state="backing-off", reason="throttled", seconds=9.0),
        IntakeChanged(state="open", reason="", seconds=2.0),
    )
    assert len(lines) == 4
    assert (lines[0]["circuit"], lines[1]["circuit"], lines[1]["seconds"]) == (
        "open",
        "closed",
        421.0,
    )
    assert "421 s" in lines[1]["message"]


def test_a_halt_names_the_setting() -> None:
    halted, intake = written(
        CircuitChanged(
            state="halted",
            reason="the key is wrong",
            seconds=1.0,
            setting="RELAY_INNGEST_EVENT_KEY",
        ),
        IntakeChanged(state="halted", reason="sqs:ReceiveMessage is denied", seconds=1.0),
    )
    assert halted["level"] == intake["level"] == "ERROR"
    assert halted["setting"] == "RELAY_INNGEST_EVENT_KEY"
    assert "sqs:ReceiveMessage" in intake["message"]


def test_a_halt_that_no_fact_tells_of_is_two_lines_too() -> None:
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, chosen=chosen("all"))
        for state in (State(), *[State(problem="most are poison", setting="RELAY_ENVELOPE")] * 3):
            observer.tell(Window(), state)
        observer.tell(Window(), State())
    start, end = map(json.loads, screen.getvalue().splitlines())
    assert (start["level"], start["setting"]) == ("ERROR", "RELAY_ENVELOPE")
    assert end["message"] == "no longer halted"


def test_a_line_has_no_fields_that_depend_on_pythons_version() -> None:
    record = logging.makeLogRecord({"msg": "hello", "taskName": "Task-7", "setting": "RELAY_X"})
    line = json.loads(Json("orders").record(record))
    assert line.keys() == {"timestamp", "level", "service", "message", "location", "setting"}


def test_what_goes_wrong_with_a_lease_names_the_message() -> None:
    lines = written(
        DeletedLate("m-1"), DeleteFailed("m-1", "no"), LeaseLost("m-1"), ReleaseFailed("m-1", "no")
    )
    assert [(line["message_id"], line["level"]) for line in lines] == [("m-1", "WARNING")] * 4


def test_a_summary_tells_what_moved() -> None:
    screen, window = io.StringIO(), Window()
    window.counters["Delivered", ""] = 12
    window.counters["Rejected", "not_json"] = 1
    window.counters["Heartbeat", ""] = 1
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, chosen=chosen("all"))
        observer.tell(window, State(in_hand=3))
        observer.tell(Window(), State())
    (line,) = map(json.loads, screen.getvalue().splitlines())
    assert line["counts"] == {"Delivered": 12, "Rejected.not_json": 1}
    assert (line["in_hand"], line["circuit"]) == (3, "closed")


class TestSampling:
    def test_problems_are_always_written(self) -> None:
        facts = [settled(), settled(POISON, []), settled(Retry("no"))]
        assert len(written(*facts, messages="all")) == 3
        assert len(written(*facts, messages="problems")) == 2
        assert len(written(*facts, messages="1/999999")) >= 2

    def test_one_in_n_goes_by_the_message_so_that_each_of_its_receives_is_told_or_none(
        self,
    ) -> None:
        facts = [settled(about=message(f"m-{number}")) for number in range(2_000)]
        once = [line["message_id"] for line in written(*facts, messages="1/10")]
        assert 120 < len(once) < 290
        assert [line["message_id"] for line in written(*facts, messages="1/10")] == once

    @pytest.mark.parametrize("wrong", ["", "some", "1/0", "2/3", "1/", "1/10000000000"])
    def test_anything_else_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="neither"):
            chosen(wrong)


class TestFiles:
    @staticmethod
    @contextmanager
    def told(screen: io.StringIO, **options: Any) -> Iterator[LogObserver]:
        with open_log(service="orders", redactor=Redactor(), screen=screen, **options) as log:
            yield LogObserver(log, chosen=chosen("all"))

    def test_with_a_file_the_screen_has_all_but_the_messages(self, tmp_path: Path) -> None:
        screen, path = io.StringIO(), tmp_path / "audit.log"
        with self.told(screen, file=path) as observer:
            observer.observe(settled(POISON, []))
            observer.observe(CircuitChanged(state="open", reason="refused", seconds=1.0))
        assert "refused" in screen.getvalue()
        assert "m-1" not in screen.getvalue()
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line.get("message_id") for line in lines] == ["m-1", None]

    def test_the_level_is_that_of_messages_too(self) -> None:
        screen = io.StringIO()
        with self.told(screen, level="warning") as observer:
            observer.observe(settled())
            observer.observe(settled(POISON, []))
        assert len(screen.getvalue().splitlines()) == 1

    def test_people_get_short_lines(self) -> None:
        screen = io.StringIO()
        with self.told(screen, form="console") as observer:
            observer.observe(settled())
            observer.observe(settled(POISON, []))
            observer.observe(settled(results=[(event("a"), Delivered())] * 2))
            observer.observe(CircuitChanged(state="open", reason="refused", seconds=1.0))
            logging.getLogger("relay.test").error("oh", exc_info=ValueError("why"))
        lines = screen.getvalue().splitlines()
        assert lines[0][8:] == " delivered shop/paid e-1 seconds=0.25"
        assert (
            lines[1][8:]
            == " rejected  a message m-1: the body is not JSON code=not_json seconds=0.25"
        )
        assert lines[2][8:] == " delivered 2 events in m-1 seconds=0.25"
        assert "refused" in lines[3]
        assert "ValueError: why" in screen.getvalue()

    def test_other_libraries_are_heard_from_warnings_on(self) -> None:
        screen = io.StringIO()
        with self.told(screen, level="debug"):
            logging.getLogger("httpx").info("POST https://host/e/key")
            logging.getLogger("httpx").warning("slow")
            logging.getLogger("relay.x").debug("fine")
        assert [json.loads(line)["message"] for line in screen.getvalue().splitlines()] == [
            "slow",
            "fine",
        ]

    def test_it_leaves_the_logging_machinery_as_it_was(self) -> None:
        root = logging.getLogger()
        before = (root.level, list(root.handlers), logging.getLogger("relay").level)
        with self.told(io.StringIO(), level="debug"):
            pass
        assert (root.level, list(root.handlers), logging.getLogger("relay").level) == before

    def test_a_file_is_turned_before_it_is_too_large_and_loses_no_line(
        self, tmp_path: Path
    ) -> None:
        file = LogFile(tmp_path / "audit.log", largest=1_000, kept=3)
        for number in range(60):
            file.write(f"{number:049}\n")
        file.close()
        found = sorted(tmp_path.iterdir(), key=lambda path: path.name, reverse=True)
        assert [path.name for path in found] == [
            "audit.log.3",
            "audit.log.2",
            "audit.log.1",
            "audit.log",
        ][-len(found) :]
        assert all(path.stat().st_size <= 1_000 for path in found)
        numbers = [int(line) for path in found for line in path.read_text().splitlines()]
        assert numbers == list(range(60))

    def test_a_directory_that_is_missing_costs_lines_and_nothing_else(self, tmp_path: Path) -> None:
        screen = io.StringIO()
        with open_log(
            service="orders",
            redactor=Redactor(),
            screen=screen,
            file=tmp_path / "missing" / "audit.log",
        ) as log:
            LogObserver(log, chosen=chosen("all")).observe(settled())
            _until(lambda: log.take_lost() == 1)


def _until(condition: Callable[[], int | bool]) -> int:
    """The condition's first true value."""
    pause = threading.Event()
    while not (found := condition()):
        pause.wait(0.005)
    return int(found)
