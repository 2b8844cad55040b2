"""Envelopes: what producers and AWS put around events, and how the events come out."""

from relay.envelope.decoded import Decoded
from relay.envelope.decoding import decode
from relay.envelope.rules import KINDS, Rules

__all__ = ["KINDS", "Decoded", "Rules", "decode"]
