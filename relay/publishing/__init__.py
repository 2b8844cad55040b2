"""Publishing of events to a queue: their ids, the messages they become, and the sending."""
