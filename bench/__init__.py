"""The benchmark: Relay beside what people would use instead, on the same servers."""
