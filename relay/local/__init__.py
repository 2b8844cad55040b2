"""The embedded default: everything that the relay talks to, on loopback, with nothing to install."""
