"""The destinations beside Inngest, wired: one file each, from its own group of settings."""

from relay.wiring.orchestrators.opening import open_orchestrator

__all__ = ["open_orchestrator"]
