"""The log's observer: which facts become lines, and of which kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from relay.facts import (
    CircuitChanged,
    DeadLettered,
    DeletedLate,
    DeleteFailed,
    Fact,
    Forwarded,
    IdReused,
    IntakeChanged,
    LeaseLost,
    LedgerChanged,
    ReleaseFailed,
    Settled,
)
from relay.message import Delivered
from relay.telemetry.attempts import Attempts
from relay.telemetry.log import Log
from relay.telemetry.message_fields import lines_of
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
        self._problem: str | None = None
        self._letters: dict[str, tuple[float, DeadLettered]] = {}
        self._ways: Mapping[type, Callable[[Any], None]] = {
            Settled: self._settled,
            Forwarded: self._attempts.note,
            DeadLettered: self._dead_lettered,
            CircuitChanged: _circuit_changed,
            IntakeChanged: _intake_changed,
            LedgerChanged: _ledger_changed,
            IdReused: _id_reused,
            DeletedLate: _deleted_late,
            DeleteFailed: _delete_failed,
            LeaseLost: _lease_lost,
            ReleaseFailed: _release_failed,
        }

    def observe(self, fact: Fact) -> None:
        """Write what the fact says, if it is anything for the log."""
        way = self._ways.get(type(fact))
        if way is not None:
            way(fact)

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
                _log.error("halted%s: %s", _see(state.setting), state.problem, extra=fields)
        self._problem = state.problem

    def _settled(self, fact: Settled) -> None:
        letter = self._letters.pop(fact.message.message_id, None)
        if not self._chosen(fact):
            for event, _ in fact.results:
                self._attempts.take(event.id)
            return
        now = self._clock()
        foreign = self._payload or not isinstance(fact.outcome, Delivered)
        for fields in lines_of(fact, self._attempts, now, payload=self._payload):
            if letter is not None and not letter[1].complete:
                fields["stand_in"] = True
            self._log.message(fields, now, foreign=foreign)

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


def _see(setting: str | None) -> str:
    return f", see {setting}" if setting else ""


def _circuit_changed(fact: CircuitChanged) -> None:
    fields = {"circuit": fact.state, "seconds": round(fact.seconds, 1)}
    if fact.state == "closed":
        _log.warning("delivering again after %.0f s: %s", fact.seconds, fact.reason, extra=fields)
    elif fact.state == "halted":
        fields |= {"setting": fact.setting or ""}
        _log.error("halted%s: %s", _see(fact.setting), fact.reason, extra=fields)
    else:
        _log.warning("holding, the destination is away: %s", fact.reason, extra=fields)


def _intake_changed(fact: IntakeChanged) -> None:
    fields = {"intake": fact.state, "seconds": round(fact.seconds, 1)}
    if fact.state == "open":
        _log.warning("receiving again after %.0f s", fact.seconds, extra=fields)
    elif fact.state == "halted":
        _log.error("halted, nothing can be received: %s", fact.reason, extra=fields)
    else:
        _log.warning("backing off from the queue: %s", fact.reason, extra=fields)


def _ledger_changed(fact: LedgerChanged) -> None:
    fields = {"seconds": round(fact.seconds, 1)}
    if fact.away:
        _log.warning("delivering without the ledger: %s", fact.reason, extra=fields)
    else:
        _log.warning("using the ledger again after %.0f s", fact.seconds, extra=fields)


def _id_reused(fact: IdReused) -> None:
    event = fact.event
    fields = {"code": "id_reused", "message_id": event.message_id, "event_id": event.id}
    _log.warning("the id came before with another content, and counts as the same", extra=fields)


def _deleted_late(fact: DeletedLate) -> None:
    fields = {"message_id": fact.message_id}
    _log.warning("deleted after its lease had run out: it may come once more", extra=fields)


def _delete_failed(fact: DeleteFailed) -> None:
    fields = {"message_id": fact.message_id}
    _log.warning("not deleted, it comes again: %s", fact.reason, extra=fields)


def _lease_lost(fact: LeaseLost) -> None:
    fields = {"message_id": fact.message_id}
    _log.warning("its lease was lost: somebody else may have it too", extra=fields)


def _release_failed(fact: ReleaseFailed) -> None:
    fields = {"message_id": fact.message_id}
    _log.warning("not released, it comes at its lease's end: %s", fact.reason, extra=fields)
