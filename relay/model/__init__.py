"""The values that the other packages pass to each other. Standard library and msgspec only."""
