"""The settings of the relay: a frozen model, read from `RELAY_*` variables by `load`."""

from relay.settings.loading import Loaded, load
from relay.settings.model import Settings
from relay.settings.relations import missing

__all__ = ["Loaded", "Settings", "load", "missing"]
