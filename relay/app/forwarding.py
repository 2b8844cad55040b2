"""Opens the forwarder from the settings: each destination is paced, several are routed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from relay.app.destinations import open_single_event_destination
from relay.app.destinations.connections import RegisterSecret, ignore_secret
from relay.app.destinations.inngest import open_inngest
from relay.app.destinations.traits import traits_of
from relay.app.redaction import create_redactor
from relay.aws.session import SharedSession
from relay.destinations.inngest.earlier import Attempted, not_attempted
from relay.destinations.redaction import RedactedDestination
from relay.destinations.webhook_rules import PRESETS
from relay.forwarding import Forwarder
from relay.forwarding.adaptive_limit import AdaptiveLimit
from relay.forwarding.pacing import PacedDestination, TokenBucket, parse_rates, rate_of
from relay.forwarding.routing import Router, RouteTable, parse_routes
from relay.forwarding.undelivered import Undelivered
from relay.model.destination import Destination
from relay.model.event import Event
from relay.model.facts import CircuitChanged, Fact, IdReused, Observe
from relay.model.traits import Traits, warnings
from relay.settings.model import Settings

EventForwarder: TypeAlias = Forwarder | Router


@dataclass(frozen=True, slots=True)
class OpenedForwarder:
    """The forwarder, and the most concurrent requests to all destinations for now."""

    forwarder: EventForwarder
    concurrency: Callable[[], int]


PUSHED_ROUTES = (
    "while one of several destinations is down, its messages keep being redelivered in push mode"
    " and occupy connections that the others need: give each destination a queue of its own, or use"
    " `relay poll`"
)

_ADDRESSES = {
    "inngest": "RELAY_INNGEST_URL",
    "step-functions": "RELAY_STEP_FUNCTIONS_ARN",
    "temporal": "RELAY_TEMPORAL_ADDRESS",
    "prefect": "RELAY_PREFECT_API_URL",
    "argo": "RELAY_ARGO_URL",
    "webhook": "RELAY_WEBHOOK_URL",
    "bullmq": "RELAY_BULLMQ_URL",
}
"""The setting that says where each destination is."""

_log = logging.getLogger(__name__)


async def open_forwarder(  # noqa: PLR0913 - what the composition root hands over
    settings: Settings,
    stack: AsyncExitStack,
    session: SharedSession,
    wrap: Callable[[Destination], Destination],
    observe: Observe,
    *,
    pushed: bool,
    hold: bool = True,
    warn: bool = True,
    register_secret: RegisterSecret = ignore_secret,
    attempted: Attempted = not_attempted,
) -> OpenedForwarder:
    """The forwarder, for as long as the stack is open. No request is sent yet.

    `wrap` is applied to each destination before it is paced. `pushed` is True in push mode, where
    the relay cannot choose which messages it gets. `hold` is False where no event can wait for the
    end of an outage. `warn` says whether the limits of the
    destinations are logged as warnings. `register_secret` is called with each secret that was
    looked up. `attempted` returns when an event may have been sent before by another process.
    """
    several = len(settings.destinations) > 1
    redactor = create_redactor(settings)

    def register(secret: str) -> None:
        redactor.register_secret(secret)
        register_secret(secret)

    branches = dict[str, Forwarder]()
    destinations = list[Destination]()
    for name in settings.destinations:
        if warn:
            _warn(traits_of(settings, name), settings)
        if name == "inngest":
            inngest = open_inngest(settings, register, attempted)
            found = await stack.enter_async_context(inngest)
            opened, refresh = found.destination, found.refresh
        else:
            opening = open_single_event_destination(
                name, settings, session, _reused(observe), register
            )
            opened, refresh = await stack.enter_async_context(opening)
        destination = paced(wrap(RedactedDestination(opened, redactor)), name, settings)
        destinations.append(destination)
        branches[name] = Forwarder(
            destination,
            undelivered=Undelivered(setting=setting_to_check(name, settings)),
            before_probe=refresh,
            hold=hold,
            observe=_with_name(name, observe) if several else observe,
        )
    if several and pushed:
        _log.warning("%s", PUSHED_ROUTES)
    forwarder = _routed(settings, branches, pushed=pushed)
    return OpenedForwarder(forwarder, lambda: sum(_concurrency(one) for one in destinations))


def _concurrency(destination: Destination) -> int:
    if isinstance(destination, PacedDestination):
        return destination.concurrency
    return destination.limits.in_flight


def _routed(settings: Settings, branches: dict[str, Forwarder], *, pushed: bool) -> EventForwarder:
    if not settings.routes:
        return branches[settings.destination]
    return Router(
        RouteTable(parse_routes(settings.routes)),
        branches,
        held=settings.route_max_held,
        release=settings.route_poll_backoff,
        delay=settings.route_serve_backoff if pushed else 0.0,
    )


def rate_for(name: str, settings: Settings) -> float | None:
    """The most events a second to the destination of this name; None for no limit."""
    rate = rate_of(parse_rates(settings.rate_limit), name)
    if rate is None and name == "webhook":
        return PRESETS[settings.webhook_preset].rate
    return rate


def paced(destination: Destination, name: str, settings: Settings) -> Destination:
    """The destination with its configured rate limit and an adaptive concurrency limit.

    Inngest gets the rate limit only.
    """
    rate = rate_for(name, settings)
    most = destination.limits.in_flight
    if rate is None and name == "inngest":
        return destination
    return PacedDestination(
        destination,
        bucket=None if rate is None else TokenBucket(rate),
        limit=None if name == "inngest" else AdaptiveLimit(most, first=most),
    )


def _reused(observe: Observe) -> Callable[[Event], None]:
    return lambda event: observe(IdReused(event))


def _warn(traits: Traits, settings: Settings) -> None:
    ledger = settings.ledger_table is not None
    for sentence in warnings(traits, 0.0 if ledger else settings.queue_retention):
        _log.warning("%s", sentence)


def setting_to_check(name: str, settings: Settings) -> str:
    """Where to look if the destination answers and still nothing is delivered."""
    if name == "inngest" and settings.confirms:
        return "RELAY_CONFIRM"
    return _ADDRESSES[name]


def _with_name(name: str, observe: Observe) -> Observe:
    """Add the destination's name to the reason of a changed circuit."""

    def observe_named(fact: Fact) -> None:
        if isinstance(fact, CircuitChanged):
            fact = replace(fact, reason=f"{name}: {fact.reason}", destination=name)
        observe(fact)

    return observe_named
