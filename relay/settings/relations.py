"""What must hold between settings, each breach as a sentence with its fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relay.clocks import Clocks, Problem
from relay.settings.needed import needed

if TYPE_CHECKING:
    from relay.settings.model import Settings

_KEPT_ELSEWHERE = (
    "inngest_event_key",
    "inngest_signing_key",
    "temporal_api_key",
    "prefect_api_key",
    "argo_token",
    "webhook_url",
)

CLOCKS = tuple(field.name for field in fields(Clocks))


def is_cloud(url: str) -> bool:
    """Whether the address is one of Inngest's own."""
    host = urlsplit(url).hostname or ""
    return f".{host}".endswith((".inn.gs", ".inngest.com"))


def conflicts(settings: Settings) -> Iterator[Problem]:
    """The relations that do not hold, for `Settings` that are otherwise well formed."""
    yield from settings.clocks.conflicts()
    yield from _keys_set_twice(settings)
    yield from _confirming(settings)


def missing(settings: Settings) -> list[str]:
    """A sentence for each setting that sending events to the destinations still needs."""
    others = list(needed(settings))
    if "inngest" not in settings.destinations:
        return others
    if not settings.cloud or settings.inngest_event_key or settings.inngest_event_key_secret:
        return others
    sentence = (
        "RELAY_INNGEST_EVENT_KEY is not set and Inngest's Cloud takes no event without one: set it,"
        " or RELAY_INNGEST_EVENT_KEY_SECRET to where it is kept, or RELAY_INNGEST_URL to a server"
        " of your own"
    )
    return [sentence, *others]


def _keys_set_twice(settings: Settings) -> Iterator[Problem]:
    for name in _KEPT_ELSEWHERE:
        if getattr(settings, name) and getattr(settings, f"{name}_secret"):
            variable = f"RELAY_{name.upper()}"
            yield Problem(
                (name, f"{name}_secret"),
                f"{variable} and {variable}_SECRET are both set: remove one of them",
            )


def _confirming(settings: Settings) -> Iterator[Problem]:
    signed = settings.inngest_signing_key or settings.inngest_signing_key_secret
    inngest = "inngest" in settings.destinations
    if inngest and settings.confirms and not signed and not _is_nearby(settings.inngest_url):
        yield Problem(
            ("confirm", "inngest_url", "inngest_signing_key", "inngest_signing_key_secret"),
            f"RELAY_CONFIRM is {settings.confirm} and RELAY_INNGEST_SIGNING_KEY is not set, without"
            " which that server lets no event be read back: set it, or set RELAY_CONFIRM=off and"
            " accept that a crash of the server loses what it had just acknowledged",
        )


def _is_nearby(url: str) -> bool:
    """Whether a dev server, which needs no key, is likely: loopback, or a host without a domain."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".docker.internal"))
