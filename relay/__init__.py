"""Relay: an SQS buffer and dead-letter relay in front of an event orchestrator."""
