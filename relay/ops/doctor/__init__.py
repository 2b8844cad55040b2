"""Looks at the real queues, keys, servers and permissions before they hurt. Changes nothing."""
