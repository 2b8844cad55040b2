"""The alternatives, each set up as its documentation recommends."""
