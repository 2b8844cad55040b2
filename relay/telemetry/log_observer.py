"""The log's observer: which facts become lines, and of which kind."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias
from zlib import crc32

from relay.model.facts import DeadLettered, Fact, Forwarded, Settled
from relay.model.outcome import Delivered
from relay.telemetry.log import Log
from relay.telemetry.log_records import REMARKS, see
from relay.telemetry.message_line import Attempts, Line, MessageLines, format_timestamp
from relay.telemetry.observers import Ways, each
from relay.telemetry.report import State, Window

Chosen: TypeAlias = Callable[[Settled], bool]

_SHARE = re.compile(r"1/([1-9][0-9]{0,8})", re.ASCII)


def message_filter(written: str) -> Chosen:
    """What `all`, `problems` or `1/N` chooses; a message with a problem is chosen by each.

    One in N goes by the message's id, so that a message is told at all of its receives or at none.

    Raises:
        ValueError: it is none of the three.
    """
    if written == "all":
        return everything
    if written == "problems":
        return problem
    share = _SHARE.fullmatch(written)
    if share is None:
        raise ValueError(f"{written!r} is neither all, problems nor 1/N")
    every = int(share[1])
    return lambda s: crc32(s.message.message_id.encode()) % every == 0 or problem(s)


def everything(_settled: Settled) -> bool:
    """Yes."""
    return True


def problem(settled: Settled) -> bool:
    """Whether the message did not simply go through."""
    return not isinstance(settled.outcome, Delivered)


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
        message_filter: Chosen,
        payload: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._message_filter = message_filter
        self._payload = payload
        self._clock = clock
        self._attempts = Attempts()
        self._make = MessageLines(log.service, self._attempts, payload=payload)
        self._lines: list[Line] = []
        self._now = 0.0
        self._stamp = ""
        self._problem: str | None = None
        self._letters: dict[str, tuple[float, DeadLettered]] = {}
        self.ways: Ways = {
            # Payloads of a round might be more than may wait.
            Settled: each(self._alone) if payload else self._settled,
            Forwarded: each(self._attempts.note),
            DeadLettered: each(self._dead_lettered),
            **dict.fromkeys(REMARKS, each(self._remark)),
        }

    def end_round(self) -> None:
        """Write the lines of the messages that came to their end in it."""
        self._write()

    def _write(self) -> None:
        if self._lines:
            try:
                self._log.messages(self._lines, self._now, foreign=False)
            finally:
                self._lines.clear()

    def _remark(self, fact: Fact) -> None:
        self._write()  # lines stand in the order of what they tell of
        REMARKS[type(fact)](fact)

    def tell(self, window: Window, state: State) -> None:
        """Write the last minute's summary, if anything happened in it, and a halt that began."""
        self._orphans()
        self._halts(state)
        counts = _summary(window)
        if counts or state.in_flight or state.circuit != "closed":
            _log.info(
                "summary",
                extra={"counts": counts, "in_flight": state.in_flight, "circuit": state.circuit},
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

    def _settled(self, facts: Iterator[Settled]) -> None:
        message_filter, make, lines = self._message_filter, self._make.of, self._lines
        every = message_filter is everything  # and need not be asked about each
        for fact in facts:
            if type(fact.outcome) is not Delivered or len(fact.results) != 1 or self._letters:
                self._alone(fact)
            elif every or message_filter(fact):
                if not lines:
                    self._begin(fact.at)
                lines.append(make(fact, fact.results[0][0], self._stamp, Line))
            else:
                self._attempts.pop(fact.results[0][0].id, None)

    def _begin(self, at: float) -> None:
        """The lines from here on are of this time."""
        self._now = at
        self._stamp = format_timestamp(at)

    def _alone(self, fact: Settled) -> None:
        """Tell of a message of which more is to be told than that its event was delivered."""
        letter = self._letters.pop(fact.message.message_id, None)
        if not self._message_filter(fact):
            for event, _ in fact.results:
                self._attempts.pop(event.id, None)
            return
        foreign = self._payload or not isinstance(fact.outcome, Delivered)
        if foreign:
            self._write()
        if not self._lines:
            self._begin(fact.at)
        lines = self._make.lines_of(fact, self._stamp)
        if letter is not None and not letter[1].complete:
            for line in lines:
                line.incomplete_copy = True
        if foreign:
            # A server's words, which a reason may be, take long to be searched for what looks like
            # a secret.
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
