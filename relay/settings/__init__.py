"""The settings of the relay: a frozen model, read from `RELAY_*` variables."""
