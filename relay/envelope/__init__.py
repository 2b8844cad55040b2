"""Decoding of messages: detects the envelope around the events and extracts them."""

from relay.envelope.decoding import Decoded, decode
from relay.envelope.ids import KINDS, Rules

__all__ = ["KINDS", "Decoded", "Rules", "decode"]
