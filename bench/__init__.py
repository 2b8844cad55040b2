"""The benchmark: Relay and its alternatives, on the same servers."""
