"""The commands of `relay`, one module each, imported when called."""
