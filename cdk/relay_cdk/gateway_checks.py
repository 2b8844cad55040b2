"""What is wrong with the options of the gateway, and with its settings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from relay.gateway.webhooks.presets import PRESETS
from relay.gateway.webhooks.sources import BadSource, read_sources
from relay.settings.model import Settings
from relay_cdk.gateway_needs import (
    GATEWAY_ONLY,
    KEY_STORE,
    WEBHOOKS,
    gateway_needs,
)
from relay_cdk.needs import NEW_SECRET
from relay_cdk.options import Options
from relay_cdk.task import LARGEST_STOP, stop_timeout

CERTIFICATE = r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[A-Za-z0-9-]+"
FUNCTION_TIMEOUT = 15.0
"""Seconds after which Lambda ends an invocation. No SDK waits for so long."""

FUNCTION_MARGIN = 5.0
"""Of these, for reading keys and for the answer."""

ZONES = 2


def gateway_problems(options: Options, settings: Settings, *, own_vpc: bool) -> Iterator[str]:
    """A sentence for each thing that is wrong.

    Args:
        options: all of them.
        settings: the relay's settings.
        own_vpc: whether the VPC exists already.
    """
    if options.gateway == "none":
        yield from _without_a_gateway(options)
        return
    yield from _keys(options)
    yield from _bucket(settings)
    if options.gateway == "fargate":
        yield from _balancer(options, own_vpc=own_vpc)
    else:
        yield from _function(options)


def _without_a_gateway(options: Options) -> Iterator[str]:
    defaults = Options()
    for name in ("certificate", "internal", "subnets", "min", "max"):
        option = f"gateway_{name}"
        if getattr(options, option) != getattr(defaults, option):
            yield f"{option} needs gateway=fargate"
    for name in sorted(GATEWAY_ONLY & set(options.settings)):
        yield f"settings: {name} is for the gateway: add gateway=fargate or another host for it"


def _keys(options: Options) -> Iterator[str]:
    store = options.settings.get(KEY_STORE, NEW_SECRET)
    if store != NEW_SECRET and not store.startswith(("arn:", "ssm:")):
        yield (
            f"settings: {KEY_STORE} must be create, the ARN of a secret, or ssm: and a parameter's"
            " name: a file would be another one on each instance"
        )
    try:
        read_sources(options.settings.get(WEBHOOKS, "{}"), PRESETS)
    except BadSource as error:
        yield f"settings: {WEBHOOKS}: {error}"


def _bucket(settings: Settings) -> Iterator[str]:
    bucket = settings.gateway_bucket
    if bucket and bucket not in settings.payload_buckets:
        yield (
            f"settings: add {bucket} to RELAY_PAYLOAD_BUCKETS too: the relay reads from it what the"
            " gateway stores in RELAY_GATEWAY_BUCKET"
        )


def _balancer(options: Options, *, own_vpc: bool) -> Iterator[str]:
    if options.gateway_certificate is None and not options.gateway_internal:
        yield (
            "gateway needs gateway_certificate, the ARN of its certificate in AWS Certificate"
            " Manager, because event keys would cross the internet in plain text; only with"
            " gateway_internal=true it may be left out"
        )
    elif options.gateway_certificate and not re.fullmatch(CERTIFICATE, options.gateway_certificate):
        yield "gateway_certificate must be the ARN of a certificate in AWS Certificate Manager"
    if not 1 <= options.gateway_min <= options.gateway_max:
        yield "gateway_min must be at least 1 and at most gateway_max"
    yield from _subnets(options, own_vpc=own_vpc)
    stop = gateway_needs(options.settings).stop
    if stop_timeout(stop) > LARGEST_STOP:
        yield f"settings: RELAY_DRAIN_DEADLINE is too long: Fargate waits {LARGEST_STOP} s"


def _subnets(options: Options, *, own_vpc: bool) -> Iterator[str]:
    if own_vpc:
        if not options.gateway_internal and not options.gateway_subnets:
            yield (
                "gateway needs gateway_subnets, public subnets of the VPC for the load balancer, or"
                " gateway_internal=true"
            )
    elif options.gateway_subnets:
        yield "gateway_subnets needs vpc, the VPC that they are in"
    elif not options.public_addresses and not options.gateway_internal:
        yield (
            "public_addresses=false gives the gateway a VPC without a way to the internet: add"
            " gateway_internal=true, or give vpc, subnets and gateway_subnets"
        )
    chosen = options.gateway_subnets or options.subnets
    if chosen and len(set(chosen)) < ZONES:
        yield "a load balancer needs two subnets, in two zones: name them in gateway_subnets"
    for subnet in options.gateway_subnets:
        if not re.fullmatch(r"subnet-\w+", subnet):
            yield f"gateway_subnets: {subnet} is not an id such as subnet-0a1b2c3d"


def _function(options: Options) -> Iterator[str]:
    defaults = Options()
    for name in ("certificate", "internal", "subnets", "min", "max"):
        option = f"gateway_{name}"
        if getattr(options, option) != getattr(defaults, option):
            yield f"{option} is for a load balancer, which gateway=function-url does not have"
    most = FUNCTION_TIMEOUT - FUNCTION_MARGIN
    if gateway_needs(options.settings).timeout > most:
        yield (
            f"settings: RELAY_GATEWAY_TIMEOUT must be at most {most:g} with gateway=function-url:"
            f" the function is ended after {FUNCTION_TIMEOUT:g} s, with an answer of Lambda's own"
        )
