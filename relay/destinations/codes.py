"""Codes of rejects that destinations give, the same whichever destination it is."""

from __future__ import annotations

REFUSED = "refused_by_destination"
TOO_LARGE = "too_large_for_destination"
