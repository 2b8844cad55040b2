"""The trace of one event, built from logs, dead letters, the ledger and the orchestrator."""
