"""Local emulators of everything the relay talks to: loopback only, nothing to install."""
