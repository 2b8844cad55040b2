"""Builds `relay console` and what its pages read."""
