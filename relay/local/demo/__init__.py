"""The demo: traffic through the whole relay with faults, and a reconciliation of the result."""
