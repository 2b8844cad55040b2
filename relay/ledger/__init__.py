"""The ledger: what is being sent, what was delivered, and what was dead-lettered, kept for long."""

from relay.ledger.access import Access
from relay.ledger.attempts import Attempts
from relay.ledger.ledger import Ledger
from relay.ledger.note import Note, Subject
from relay.ledger.noting import Noting
from relay.ledger.records import Known, Records, Table

__all__ = [
    "Access",
    "Attempts",
    "Known",
    "Ledger",
    "Note",
    "Noting",
    "Records",
    "Subject",
    "Table",
]
