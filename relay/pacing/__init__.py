"""Pacing: how fast a destination is asked, by a set rate and by what it shows to bear."""

from relay.pacing.bucket import TokenBucket
from relay.pacing.limit import AdaptiveLimit
from relay.pacing.paced import Paced
from relay.pacing.rates import parse_rates, rate_of

__all__ = ["AdaptiveLimit", "Paced", "TokenBucket", "parse_rates", "rate_of"]
