"""What happened, told: metrics, logs and traces, and the tables of names that they share."""
