"""The log's observer: which facts become lines, and of which kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from relay.facts import (
    DeadLettered,
    Fact,
    Forwarded,
    Settled,
)
from relay.message import Delivered
from relay.telemetry.attempts import Attempts
from relay.telemetry.log import Log
from relay.telemetry.message_line import Line, MessageLines, stamp
from relay.telemetry.observers import Ways, spread
from relay.telemetry.remarks import REMARKS, see
from relay.telemetry.report import State
from relay.telemetry.sampling import Chosen
from relay.telemetry.window import Window

PROMPT = 5.0
"""Seconds within which a message's end follows its copy, if it follows at all."""

_log = logging.getLogger(__name__)


class LogObserver:
    """One line for each message at its end, and two for an outage: at its start and at its end.

    Args:
        log: where messages' lines go.
        chosen: which messages get one.
        payload: write the events' data into it.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        log: Log,
        *,
        chosen: Chosen,
        payload: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._chosen = chosen
        self._payload = payload
        self._clock = clock
        self._attempts = Attempts()
        self._make = MessageLines(log.service, self._attempts, payload=payload).of
        self._lines: list[Line] = []
        self._now = 0.0
        self._stamp = ""
        self._problem: str | None = None
        self._letters: dict[str, tuple[float, DeadLettered]] = {}
        self._ways: Ways = {
            Settled: self._settled,
            Forwarded: self._attempts.note,
            DeadLettered: self._dead_lettered,
            **dict.fromkeys(REMARKS, self._remark),
        }

    def hear(self, facts: Iterator[Fact]) -> None:
        """Write what the facts say, if it is anything for the log."""
        spread(facts, self._ways)
        self._write()

    def _write(self) -> None:
        """Write the lines of the messages that came to their end."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._log.messages(lines, self._now, foreign=False)

    def _remark(self, fact: Fact) -> None:
        self._write()  # lines stand in the order of what they tell of
        REMARKS[type(fact)](fact)

    def tell(self, window: Window, state: State) -> None:
        """Write the last minute's summary, if anything happened in it, and a halt that began."""
        self._orphans()
        self._halts(state)
        counts = _summary(window)
        if counts or state.in_hand or state.circuit != "closed":
            _log.info(
                "summary",
                extra={"counts": counts, "in_hand": state.in_hand, "circuit": state.circuit},
            )

    def _halts(self, state: State) -> None:
        """A halt that no fact tells of: its start and its end."""
        if state.problem != self._problem:
            if state.problem is None:
                _log.warning("no longer halted")
            else:
                fields = {"setting": state.setting or ""}
                _log.error("halted%s: %s", see(state.setting), state.problem, extra=fields)
        self._problem = state.problem

    def _settled(self, fact: Settled) -> None:
        letter = self._letters.pop(fact.message.message_id, None) if self._letters else None
        if not self._chosen(fact):
            for event, _ in fact.results:
                self._attempts.pop(event.id, None)
            return
        if not self._lines:
            self._now = fact.at
            self._stamp = stamp(fact.at)
        lines = self._make(fact, self._stamp)
        if letter is not None and not letter[1].complete:
            for line in lines:
                line.stand_in = True
        if self._payload or not isinstance(fact.outcome, Delivered):
            self._write()
            # Alone: payloads of a round might be more than may wait, and a server's words, which
            # a reason may be, take long to be searched for what looks like a secret.
            self._log.messages(lines, self._now, foreign=True)
        else:
            self._lines += lines

    def _dead_lettered(self, fact: DeadLettered) -> None:
        self._letters[fact.message.message_id] = self._clock(), fact

    def _orphans(self) -> None:
        """Tell of copies that were stored after their message was withdrawn: no end follows."""
        now = self._clock()
        for message_id, (at, fact) in list(self._letters.items()):
            if now - at < PROMPT:
                continue
            del self._letters[message_id]
            fields = {"message_id": message_id, "queue": fact.message.queue, "code": fact.code}
            _log.warning("dead-lettered after it was withdrawn: %s", fact.reason, extra=fields)


def _summary(window: Window) -> dict[str, int]:
    """Each counter that moved, those with labels once for each of them."""
    return {
        f"{name}.{label}" if label else name: count
        for (name, label), count in sorted(window.counters.items())
        if count and name != "Heartbeat"
    }
