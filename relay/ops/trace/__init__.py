"""The story of one event, put together from whoever knows a part of it."""
