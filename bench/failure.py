"""The run cannot go on."""

from __future__ import annotations


class Failed(Exception):
    """What ended the run, as a sentence for a person."""
