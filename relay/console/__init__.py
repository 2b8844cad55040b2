"""The web page for operators: what dies, why, and what can be done about it."""
