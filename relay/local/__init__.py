"""The embedded default: all that the relay talks to, on loopback, with nothing to install."""
