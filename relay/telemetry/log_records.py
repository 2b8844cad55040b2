"""Remarks: what the log says of facts other than a message's end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from relay.model.facts import (
    CircuitChanged,
    DeletedLate,
    DeleteFailed,
    IdReused,
    LeaseLost,
    LedgerChanged,
    ReceivingChanged,
    ReleaseFailed,
)

_log = logging.getLogger(__name__)


def see(setting: str | None) -> str:
    """Where to look, behind a sentence."""
    return f", see {setting}" if setting else ""


def _circuit_changed(fact: CircuitChanged) -> None:
    fields = {"circuit": fact.state, "seconds": round(fact.seconds, 1)}
    if fact.state == "closed":
        _log.warning("delivering again after %.0f s: %s", fact.seconds, fact.reason, extra=fields)
    elif fact.state == "halted":
        fields |= {"setting": fact.setting or ""}
        _log.error("halted%s: %s", see(fact.setting), fact.reason, extra=fields)
    else:
        _log.warning("holding, the destination is away: %s", fact.reason, extra=fields)


def _receiving_changed(fact: ReceivingChanged) -> None:
    fields = {"receiving": fact.state, "seconds": round(fact.seconds, 1)}
    if fact.state == "open":
        _log.warning("receiving again after %.0f s", fact.seconds, extra=fields)
    elif fact.state == "halted":
        _log.error("halted, nothing can be received: %s", fact.reason, extra=fields)
    else:
        _log.warning("backing off from the queue: %s", fact.reason, extra=fields)


def _ledger_changed(fact: LedgerChanged) -> None:
    fields = {"seconds": round(fact.seconds, 1)}
    if fact.unavailable:
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


REMARKS: Mapping[type, Callable[[Any], None]] = {
    CircuitChanged: _circuit_changed,
    ReceivingChanged: _receiving_changed,
    LedgerChanged: _ledger_changed,
    IdReused: _id_reused,
    DeletedLate: _deleted_late,
    DeleteFailed: _delete_failed,
    LeaseLost: _lease_lost,
    ReleaseFailed: _release_failed,
}
"""What tells of each kind of fact."""
