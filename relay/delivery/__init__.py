"""One message from its receipt to its outcome, the same for every source."""
