"""Where messages come from: sqsd (push mode) and the poller (pull mode)."""
