"""Destinations opened from the settings. A new destination is added in `opening` and `traits`."""

from relay.app.destinations.opening import open_orchestrator

__all__ = ["open_orchestrator"]
