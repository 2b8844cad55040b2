"""Exit codes that only these commands have."""

PARTIAL = 3
"""Some of what was meant is not done; standard output says how much and why."""

STOPPED = 4
"""A guard or a canary stopped it before it did harm."""
