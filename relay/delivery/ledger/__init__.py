"""The ledger: what is being sent, what was delivered, and what was dead-lettered, kept for long."""

from relay.delivery.ledger.attempts import Attempts, Noting
from relay.delivery.ledger.ledger import Ledger
from relay.delivery.ledger.records import Known, LedgerEntries, Table
from relay.delivery.ledger.table import LedgerEntry, Subject, TableAccess

__all__ = [
    "TableAccess",
    "Attempts",
    "Known",
    "Ledger",
    "LedgerEntry",
    "Noting",
    "LedgerEntries",
    "Subject",
    "Table",
]
