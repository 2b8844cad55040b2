"""One screen of a running relay and its queues: what it does now, and how fast."""
