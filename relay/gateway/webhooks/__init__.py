"""Webhooks of other services: their signatures are checked, and each becomes one event."""
