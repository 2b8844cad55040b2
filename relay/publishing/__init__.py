"""Sending messages to a queue as a producer does: from documents, in batches, with a tally."""
