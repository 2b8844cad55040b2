"""Presets: the webhooks of systems that have their own ways of saying yes and no."""

from __future__ import annotations

from dataclasses import dataclass

from relay.destinations.webhook_rules import Rule, parse_rules
from relay.traits import LIVES, Traits

STANDARD = "2xx=delivered; 413=reject; 410=halt"
"""Where no other rule is about an answer. Other refusals need witnesses, see the forwarder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How a system behaves.

    `rules` come after those that a person set; `secret_url` says that knowing the URL is all that
    it takes to send; `rate` is how many requests a second it bears, None where nobody knows.
    """

    traits: Traits
    rules: tuple[Rule, ...]
    secret_url: bool = True
    rate: float | None = None


PRESETS = {
    "generic": Preset(
        traits=Traits(
            name="the webhook",
            recognised_by="the header Idempotency-Key",
            remembered=LIVES,
            durable=True,
        ),
        rules=parse_rules(STANDARD),
    ),
    "zapier": Preset(
        traits=Traits(
            name="Zapier",
            recognised_by=None,
            remembered=0.0,
            durable=True,
            event_bytes=10_000_000,
        ),
        rules=parse_rules(
            r'2xx/"status"\s*:\s*"success"/=delivered; 2xx=halt; 404=halt; 410=halt; 413=reject'
        ),
        rate=20.0,
    ),
    "make": Preset(
        traits=Traits(
            name="Make",
            recognised_by=None,
            remembered=0.0,
            durable=True,
            event_bytes=5_242_880,
        ),
        rules=parse_rules(f"400/queue is full/=unavailable; {STANDARD}"),
        rate=30.0,
    ),
    "argo-events": Preset(
        traits=Traits(
            name="Argo Events",
            recognised_by=None,
            remembered=0.0,
            durable=True,
            event_bytes=1_048_576,
        ),
        rules=parse_rules(f"400/inactive/=unavailable; {STANDARD}"),
        secret_url=False,
    ),
}
