"""Metrics, logs and traces, and the table of metrics that alarms, dashboard and docs share."""
