"""Where the log goes: the screen, a file, and what other libraries say."""

from __future__ import annotations

import io
import json
import logging
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.model.facts import CircuitChanged
from relay.model.outcome import Delivered
from relay.telemetry.log import open_log
from relay.telemetry.log_observer import LogObserver, message_filter
from relay.telemetry.log_writer import LogFile
from relay.telemetry.redaction import Redactor
from tests.telemetry.samples import POISON, event, settled, tell

FULL = Path("/dev/full")


class TestFiles:
    @staticmethod
    @contextmanager
    def told(screen: io.StringIO, **options: Any) -> Iterator[LogObserver]:
        with open_log(service="orders", redactor=Redactor(), screen=screen, **options) as log:
            yield LogObserver(log, message_filter=message_filter("all"))

    def test_with_a_file_the_screen_has_all_but_the_messages(self, tmp_path: Path) -> None:
        screen, path = io.StringIO(), tmp_path / "audit.log"
        with self.told(screen, file=path) as observer:
            tell(observer, settled(POISON, []))
            tell(observer, CircuitChanged(state="open", reason="refused", seconds=1.0))
        assert "refused" in screen.getvalue()
        assert "m-1" not in screen.getvalue()
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line.get("message_id") for line in lines] == ["m-1", None]

    def test_the_level_is_that_of_messages_too(self) -> None:
        screen = io.StringIO()
        with self.told(screen, level="warning") as observer:
            tell(observer, settled())
            tell(observer, settled(POISON, []))
        assert len(screen.getvalue().splitlines()) == 1

    def test_people_get_short_lines(self) -> None:
        screen = io.StringIO()
        with self.told(screen, log_format="console") as observer:
            tell(observer, settled())
            tell(observer, settled(POISON, []))
            tell(observer, settled(results=[(event("a"), Delivered())] * 2))
            tell(observer, CircuitChanged(state="open", reason="refused", seconds=1.0))
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
            file.write(b"%049d\n" % number)
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

    @pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
    def test_a_disk_that_stays_full_does_not_keep_the_file_from_being_closed(self) -> None:
        file = LogFile(FULL)
        with pytest.raises(OSError, match="space"):
            file.write(b"a line\n")
        file.close()

    def test_a_disk_that_was_full_when_the_file_was_to_be_turned_is_written_again(
        self, tmp_path: Path
    ) -> None:
        file, line = LogFile(tmp_path / "audit.log", largest=100, kept=3), b"%039d\n" % 7
        file.write(line)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))
        try:
            for _ in range(4):
                with pytest.raises(OSError, match="large"):
                    file.write(line)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        file.write(line)
        file.close()
        found = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert found.endswith(line)
        assert (tmp_path / "audit.log.1").exists()

    def test_a_directory_that_is_missing_costs_lines_and_nothing_else(self, tmp_path: Path) -> None:
        screen = io.StringIO()
        with open_log(
            service="orders",
            redactor=Redactor(),
            screen=screen,
            file=tmp_path / "missing" / "audit.log",
        ) as log:
            tell(LogObserver(log, message_filter=message_filter("all")), settled())
            _until(lambda: log.take_lost() == 1)


def _until(condition: Callable[[], int | bool]) -> int:
    """The condition's first true value."""
    pause = threading.Event()
    while not (found := condition()):
        pause.wait(0.005)
    return int(found)
