"""The ledger: a DynamoDB table of what is being sent, was delivered and was dead-lettered."""

from relay.delivery.ledger.attempts import Attempts, RecordingDestination
from relay.delivery.ledger.entries import EventEntries, LedgerEntries, Table
from relay.delivery.ledger.ledger import Ledger
from relay.delivery.ledger.table import LedgerEntry, Subject, TableAccess

__all__ = [
    "Attempts",
    "EventEntries",
    "Ledger",
    "LedgerEntries",
    "LedgerEntry",
    "RecordingDestination",
    "Subject",
    "Table",
    "TableAccess",
]
