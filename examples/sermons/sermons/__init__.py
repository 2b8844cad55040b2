"""A small archive of recorded sermons: uploaded, transcribed, transcoded, searchable, announced."""
