"""Which settings are the gateway's, and what they need from a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.aws.secrets import parse_secret
from relay.gateway.webhooks.keys import is_reference
from relay.gateway.webhooks.sources import source_secrets
from relay.settings import clocks
from relay.settings.gateway import GatewaySettings
from relay.settings.loading import load
from relay.settings.reference import variable
from relay_cdk.needs import NEW_SECRET, needs_of

KEY_STORE = "RELAY_GATEWAY_KEY_STORE"
WEBHOOKS = "RELAY_WEBHOOKS"

GATEWAY_ONLY = {variable(name) for name in GatewaySettings.model_fields}
"""The settings that only the gateway has."""

SHARED = {
    variable(name)
    for name in (
        *("drain_deadline", "log_level", "log_messages", "log_payload", "max_event_bytes"),
        *("max_events", "metrics", "proxy", "secret_max_age", "traces"),
    )
}
"""The settings that the gateway has too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayNeeds:
    """What the gateway's settings need.

    Attributes:
        settings: the variables of the option `settings` that the gateway gets.
        extras: the extras of `sqs-relay` to install.
        new_key_store: whether the stack creates the secret of the event keys.
        secrets: the names or ARNs of existing secrets.
        parameters: the names or ARNs of existing parameters.
        bucket: the S3 bucket for events that are too large for the queue.
        puts_metrics: whether metrics are sent by requests on every host.
        timeout: seconds in which SQS must have confirmed the events of a request.
        stop: seconds that the gateway needs for its stop, at most.
    """

    settings: Mapping[str, str]
    extras: tuple[str, ...]
    new_key_store: bool
    secrets: tuple[str, ...]
    parameters: tuple[str, ...]
    bucket: str | None
    puts_metrics: bool
    timeout: float
    stop: float

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The AWS services, as in `network.MORE_ENDPOINTS`, that not every relay uses."""
        return ("Parameters",) if self.parameters else ()


def relay_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables without those of the gateway."""
    return {name: value for name, value in settings.items() if name not in GATEWAY_ONLY}


def gateway_needs(settings: Mapping[str, str]) -> GatewayNeeds:
    """What a gateway needs of a deployment with these variables."""
    own = {
        name: value
        for name, value in settings.items()
        if name in GATEWAY_ONLY | SHARED or not name.startswith("RELAY_")
    }
    loaded = load(own).settings
    places = [parse_secret(reference) for reference in _references(own)]
    return GatewayNeeds(
        settings={n: v for n, v in own.items() if (n, v) != (KEY_STORE, NEW_SECRET)},
        extras=needs_of(own).extras,
        new_key_store=own.get(KEY_STORE, NEW_SECRET) == NEW_SECRET,
        secrets=tuple(sorted({place.name for place in places if not place.parameter})),
        parameters=tuple(sorted({place.name for place in places if place.parameter})),
        bucket=loaded.gateway_bucket,
        puts_metrics=loaded.metrics == "cloudwatch",
        timeout=loaded.gateway_timeout,
        stop=loaded.drain_deadline + clocks.LAST_STEPS,
    )


def _references(settings: Mapping[str, str]) -> Iterator[str]:
    if settings.get(KEY_STORE, NEW_SECRET) != NEW_SECRET:
        yield settings[KEY_STORE]
    if WEBHOOKS in settings:
        yield from filter(is_reference, source_secrets(settings[WEBHOOKS]))
