"""Destinations opened from the settings. A new destination is added in `opening` and `traits`."""

from relay.app.destinations.opening import open_single_event_destination

__all__ = ["open_single_event_destination"]
