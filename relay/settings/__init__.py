"""The settings of the relay: a frozen model, read from `RELAY_*` variables by `load`."""

from relay.settings.checks import missing
from relay.settings.loading import Loaded, load
from relay.settings.model import Settings

__all__ = ["Loaded", "Settings", "load", "missing"]
