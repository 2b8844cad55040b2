"""Envelopes: what producers and AWS put around events, and how the events come out."""

from relay.envelope.decoding import Decoded, decode
from relay.envelope.ids import KINDS, Rules

__all__ = ["KINDS", "Decoded", "Rules", "decode"]
