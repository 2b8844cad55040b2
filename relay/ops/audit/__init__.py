"""The audit: what became of every event after the orchestrator accepted it."""
