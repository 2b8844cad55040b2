"""The ledger: what is being sent, what was delivered, and what was dead-lettered, kept for long."""

from relay.delivery.ledger.attempts import Attempts, Noting
from relay.delivery.ledger.entries import Known, LedgerEntries, Table
from relay.delivery.ledger.ledger import Ledger
from relay.delivery.ledger.table import LedgerEntry, Subject, TableAccess

__all__ = [
    "Attempts",
    "Known",
    "Ledger",
    "LedgerEntries",
    "LedgerEntry",
    "Noting",
    "Subject",
    "Table",
    "TableAccess",
]
