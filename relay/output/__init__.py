"""What leaves the process for people: text on a terminal, text without secrets, private files."""
