"""Dead letters: snapshots, statistics, plans, redrive, drop and restore, without losing any."""
