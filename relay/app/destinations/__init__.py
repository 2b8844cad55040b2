"""The destinations beside Inngest, wired: one file each, from its own group of settings."""

from relay.app.destinations.opening import open_orchestrator

__all__ = ["open_orchestrator"]
