"""The example on this machine, and the story of an outage."""
