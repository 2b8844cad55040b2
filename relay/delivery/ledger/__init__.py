"""The ledger: what is being sent, what was delivered, and what was dead-lettered, kept for long."""

from relay.delivery.ledger.attempts import Attempts, Noting
from relay.delivery.ledger.ledger import Ledger
from relay.delivery.ledger.records import Known, Records, Table
from relay.delivery.ledger.table import Access, Note, Subject

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
