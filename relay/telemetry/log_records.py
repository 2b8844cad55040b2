"""Log records for facts other than a message's end: outages, the ledger, failed SQS calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from relay.model.facts import (
    CircuitChanged,
    DeadLettered,
    DeadLetterTooLarge,
    DeletedLate,
    DeleteFailed,
    IdReused,
    LeaseLost,
    LedgerChanged,
    PauseChanged,
    ProcessEnded,
    ReceivingChanged,
    ReleaseFailed,
    StuckChanged,
)

_log = logging.getLogger(__name__)


def see_setting(setting: str | None) -> str:
    """The end of a sentence that names the setting to check."""
    return f", see {setting}" if setting else ""


def _circuit_changed(fact: CircuitChanged) -> None:
    fields = {"circuit": fact.state, "seconds": round(fact.seconds, 1)}
    if fact.state == "closed":
        _log.warning("delivering again after %.0f s: %s", fact.seconds, fact.reason, extra=fields)
    elif fact.state == "halted":
        fields |= {"setting": fact.setting or ""}
        _log.error("halted%s: %s", see_setting(fact.setting), fact.reason, extra=fields)
    else:
        _log.warning("destination unavailable, holding messages: %s", fact.reason, extra=fields)


def _stuck_changed(fact: StuckChanged) -> None:
    fields = {"stuck": fact.stuck, "seconds": round(fact.seconds, 1), "setting": fact.setting or ""}
    if fact.stuck:
        _log.error("stuck%s: %s", see_setting(fact.setting), fact.reason, extra=fields)
    else:
        _log.warning("no longer stuck after %.0f s", fact.seconds, extra=fields)


def _receiving_changed(fact: ReceivingChanged) -> None:
    fields = {"receiving": fact.state, "seconds": round(fact.seconds, 1)}
    if fact.state == "open":
        _log.warning("receiving again after %.0f s", fact.seconds, extra=fields)
    elif fact.state == "halted":
        _log.error("halted, cannot receive: %s", fact.reason, extra=fields)
    else:
        _log.warning("backing off from the queue: %s", fact.reason, extra=fields)


def _pause_changed(fact: PauseChanged) -> None:
    fields = {
        "paused": fact.paused,
        "paused_by": fact.by,
        "reason": fact.reason,
        "seconds": round(fact.seconds, 1),
    }
    if fact.paused:
        by, reason = fact.by or "an operator", fact.reason or "no reason given"
        _log.warning("paused by %s, taking no messages: %s", by, reason, extra=fields)
    else:
        _log.warning("resumed after %.0f s, taking messages again", fact.seconds, extra=fields)


def _ledger_changed(fact: LedgerChanged) -> None:
    fields = {"seconds": round(fact.seconds, 1)}
    if fact.unavailable:
        _log.warning("ledger unavailable, delivering without it: %s", fact.reason, extra=fields)
    else:
        _log.warning("using the ledger again after %.0f s", fact.seconds, extra=fields)


def _too_large(fact: DeadLetterTooLarge) -> None:
    fields = {"message_id": fact.message.message_id, "queue": fact.message.queue, "code": fact.code}
    _log.error("message cannot be dead-lettered yet: %s", fact.reason, extra=fields)


def log_truncated(fact: DeadLettered) -> None:
    """Log that the end of a message's body is lost."""
    fields = {"message_id": fact.message.message_id, "queue": fact.message.queue, "code": fact.code}
    _log.error(
        "message dead-lettered with only the beginning of its body: the dead-letter queue has no"
        " room for it, and SQS was about to delete it",
        extra=fields,
    )


def _id_reused(fact: IdReused) -> None:
    event = fact.event
    fields = {"code": "id_reused", "message_id": event.message_id, "event_id": event.id}
    _log.warning(
        "the event id was used before with different content; treated as the same event",
        extra=fields,
    )


def _deleted_late(fact: DeletedLate) -> None:
    _log.warning(
        "message deleted after its visibility timeout had expired: it may be delivered again",
        extra={"message_id": fact.message_id},
    )


def _delete_failed(fact: DeleteFailed) -> None:
    fields = {"message_id": fact.message_id}
    _log.warning(
        "message could not be deleted, it will be delivered again: %s", fact.reason, extra=fields
    )


def _lease_lost(fact: LeaseLost) -> None:
    _log.warning(
        "visibility timeout not extended in time: another consumer may receive the message too",
        extra={"message_id": fact.message_id},
    )


def _release_failed(fact: ReleaseFailed) -> None:
    _log.warning(
        "message could not be released, it becomes visible when its visibility timeout expires: %s",
        fact.reason,
        extra={"message_id": fact.message_id},
    )


def _process_ended(fact: ProcessEnded) -> None:
    name = f"process {fact.worker} of {fact.of}" if fact.worker else "the reporter"
    again = f"in {fact.delay:g} s" if fact.delay else "at once"
    fields = {"worker": fact.worker, "pid": fact.pid}
    _log.warning("%s %s; it is started again %s", name, fact.how, again, extra=fields)


LOG_FUNCTIONS: Mapping[type, Callable[[Any], None]] = {
    CircuitChanged: _circuit_changed,
    StuckChanged: _stuck_changed,
    ReceivingChanged: _receiving_changed,
    PauseChanged: _pause_changed,
    LedgerChanged: _ledger_changed,
    IdReused: _id_reused,
    DeadLetterTooLarge: _too_large,
    DeletedLate: _deleted_late,
    DeleteFailed: _delete_failed,
    LeaseLost: _lease_lost,
    ReleaseFailed: _release_failed,
    ProcessEnded: _process_ended,
}
"""The function that logs each type of fact."""
