"""The checks of `relay doctor`: settings, queues, keys, servers and permissions. Read-only."""
