"""Turns facts into log lines: one for each message, and records for outages and errors."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from zlib import crc32

from relay.model.facts import DeadLettered, Fact, Forwarded, Handled, RejectGuardChanged
from relay.model.outcome import Delivered
from relay.telemetry.attempts import Attempts
from relay.telemetry.log import Log
from relay.telemetry.log_records import LOG_FUNCTIONS, log_truncated, see_setting
from relay.telemetry.message_line import DeliveredLine, MessageLines, format_timestamp
from relay.telemetry.observers import FactHandlers, one_by_one
from relay.telemetry.report import State, Window
from relay.telemetry.worker_reports import CONDITIONS

SETTLE_WAIT = 5.0
"""Seconds after which a dead-lettered message that has no outcome yet is logged without it."""

MessageFilter: TypeAlias = Callable[[Handled], bool]
"""Whether the message gets a line."""

_SHARE = re.compile(r"1/([1-9][0-9]{0,8})", re.ASCII)

_log = logging.getLogger(__name__)


def message_filter(text: str) -> MessageFilter:
    """The filter for `all`, `problems` or `1/N`. Each lets messages with a problem through.

    `1/N` selects by the message's id, so that either all receives of a message are logged or none.

    Raises:
        ValueError: the text is none of the three.
    """
    if text == "all":
        return every_message
    if text == "problems":
        return has_problem
    share = _SHARE.fullmatch(text)
    if share is None:
        raise ValueError(f"{text!r} is neither all, problems nor 1/N")
    every = int(share[1])
    return lambda s: crc32(s.message.message_id.encode()) % every == 0 or has_problem(s)


def every_message(_handled: Handled) -> bool:
    """The filter `all`."""
    return True


def has_problem(handled: Handled) -> bool:
    """The filter `problems`: whether the message was retried or rejected."""
    return not isinstance(handled.outcome, Delivered)


class LogObserver:
    """Writes one line for each message when it settles, and two for an outage: start and end.

    Args:
        log: where lines go.
        message_filter: which messages get a line.
        payload: include the events' data.
        clock: seconds since the epoch.
        tell: takes what concerns the whole relay, in a process that is one of several: another one
            logs it once for all of them.
    """

    def __init__(
        self,
        log: Log,
        *,
        message_filter: MessageFilter,
        payload: bool = False,
        clock: Callable[[], float] = time.time,
        tell: Callable[[Any], None] | None = None,
    ) -> None:
        self._log = log
        self._message_filter = message_filter
        self._payload = payload
        self._clock = clock
        self._attempts = Attempts()
        self._make = MessageLines(log.service, self._attempts, payload=payload)
        self._lines: list[DeliveredLine] = []
        self._lines_at = 0.0
        self._timestamp = ""
        self._problem: str | None = None
        self._alone = tell is None
        self._dead_letters: dict[str, tuple[float, DeadLettered]] = {}
        self.handlers: FactHandlers = {
            # The payloads of a whole round may be too large to buffer.
            Handled: one_by_one(self._write_full) if payload else self._handled,
            Forwarded: one_by_one(self._attempts.record),
            DeadLettered: one_by_one(self._dead_lettered),
            RejectGuardChanged: one_by_one(self._guard_changed),
            **dict.fromkeys(LOG_FUNCTIONS, one_by_one(self._log_record)),
            **({} if tell is None else dict.fromkeys(CONDITIONS.values(), one_by_one(tell))),
        }

    def end_round(self) -> None:
        """Write the lines of the messages that were handled in this round."""
        self._write()

    def on_flush(self, window: Window, state: State) -> None:
        """Log the start or end of a halt, and a summary of the last minute unless it was idle."""
        self._log_unhandled()
        if not self._alone:
            return
        self._log_halt(state)
        counts = _summary(window)
        if counts or state.in_flight or state.circuit != "closed":
            _log.info(
                "summary",
                extra={"counts": counts, "in_flight": state.in_flight, "circuit": state.circuit},
            )

    def _write(self) -> None:
        if self._lines:
            try:
                self._log.messages(self._lines, self._lines_at, untrusted=False)
            finally:
                self._lines.clear()

    def _log_record(self, fact: Fact) -> None:
        self._write()  # lines appear in the order of the facts
        LOG_FUNCTIONS[type(fact)](fact)

    def _guard_changed(self, fact: RejectGuardChanged) -> None:
        """Log the start or end of the reject guard's halt, however short it is."""
        self._write()
        fields = {"seconds": round(fact.seconds, 1), "setting": fact.setting}
        if fact.halted:
            _log.error("halted%s: %s", see_setting(fact.setting), fact.reason, extra=fields)
        else:
            sentence = "no longer halted after %.0f s: %s"
            _log.warning(sentence, fact.seconds, fact.reason, extra=fields)
        self._problem = fact.reason if fact.halted else None

    def _log_halt(self, state: State) -> None:
        """Log the start and end of a halt that has no fact."""
        if state.problem != self._problem:
            if state.problem is None:
                _log.warning("no longer halted")
            else:
                fields = {"setting": state.setting or ""}
                _log.error("halted%s: %s", see_setting(state.setting), state.problem, extra=fields)
        self._problem = state.problem

    def _handled(self, facts: Iterator[Handled]) -> None:
        selected, make, lines = self._message_filter, self._make.of, self._lines
        every = selected is every_message  # saves the call
        for fact in facts:
            if type(fact.outcome) is not Delivered or len(fact.results) != 1 or self._dead_letters:
                self._write_full(fact)
            elif every or selected(fact):
                if not lines:
                    self._set_time(fact.at)
                lines.append(make(fact, fact.results[0][0], self._timestamp, DeliveredLine))
            else:
                self._attempts.pop(fact.results[0][0].id, None)

    def _set_time(self, at: float) -> None:
        """Set the time of the lines from here on."""
        self._lines_at = at
        self._timestamp = format_timestamp(at)

    def _write_full(self, fact: Handled) -> None:
        """Write the lines of a message that a `DeliveredLine` cannot describe."""
        dead_letter = self._dead_letters.pop(fact.message.message_id, None)
        if not self._message_filter(fact):
            for event, _ in fact.results:
                self._attempts.pop(event.id, None)
            return
        untrusted = self._payload or not isinstance(fact.outcome, Delivered)
        if untrusted:
            self._write()
        if not self._lines:
            self._set_time(fact.at)
        lines = self._make.lines_of(fact, self._timestamp)
        if dead_letter is not None and dead_letter[1].kept != "unchanged":
            for line in lines:
                line.incomplete_copy = True
        if untrusted:
            # Written apart from the other lines: a reason may be a server's response, and searching
            # such text for secrets is slow.
            self._log.messages(lines, self._lines_at, untrusted=True)
        else:
            self._lines += lines

    def _dead_lettered(self, fact: DeadLettered) -> None:
        if fact.kept == "truncated":
            self._write()
            log_truncated(fact)
        self._dead_letters[fact.message.message_id] = self._clock(), fact

    def _log_unhandled(self) -> None:
        """Log messages that were dead-lettered after their delivery was cancelled."""
        now = self._clock()
        for message_id, (at, fact) in list(self._dead_letters.items()):
            if now - at < SETTLE_WAIT:
                continue
            del self._dead_letters[message_id]
            fields = {"message_id": message_id, "queue": fact.message.queue, "code": fact.code}
            _log.warning(
                "message dead-lettered after its delivery was cancelled: %s",
                fact.reason,
                extra=fields,
            )


def _summary(window: Window) -> dict[str, int]:
    """The counters that are not 0, by label where they have labels."""
    return {
        f"{name}.{label}" if label else name: count
        for (name, label), count in sorted(window.counters.items())
        if count and name != "Heartbeat"
    }
