"""What must hold between settings, each breach as a sentence with its fix."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import fields
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relay.settings.clocks import Clocks, Problem

if TYPE_CHECKING:
    from relay.settings.model import Settings

_USERS = ("temporal", "argo", "webhook")


def unusable(settings: Settings) -> Iterator[str]:
    """A sentence for each file, or pair of files, that a destination in use could not use."""
    for user in _USERS:
        if user in settings.destinations:
            yield from _authority(settings, user)
            yield from _pair(settings, user)


def _authority(settings: Settings, user: str) -> Iterator[str]:
    path = getattr(settings, f"{user}_ca_file")
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        yield (
            f"RELAY_{user.upper()}_CA_FILE is no file with certificates that can be read"
            f" ({_why(error)}): name one, PEM"
        )


def _pair(settings: Settings, user: str) -> Iterator[str]:
    certificate, key = (
        getattr(settings, f"{user}_{part}", None) for part in ("cert_file", "key_file")
    )
    if not certificate and not key:
        return
    name = f"RELAY_{user.upper()}"
    if not certificate or not key:
        yield f"{name}_CERT_FILE and {name}_KEY_FILE go together: set both, or neither"
        return
    try:
        # With a password nobody is asked for one on a terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except OSError as error:
        yield (
            f"{name}_CERT_FILE and {name}_KEY_FILE are no files of a certificate and its key"
            f" ({_why(error)}): name a pair, PEM and without a password"
        )


def _why(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or "unreadable").replace("_", " ").lower()


if TYPE_CHECKING:
    from relay.settings.model import Settings

_NEEDS = {
    "step-functions": ("step_functions_arn",),
    "temporal": ("temporal_address", "temporal_workflow", "temporal_task_queue"),
    "prefect": ("prefect_api_url", "prefect_deployment"),
    "argo": ("argo_url", "argo_template"),
    "webhook": ("webhook_url",),
    "bullmq": ("bullmq_url", "bullmq_queue"),
}
_EXTRAS = {"temporal": "temporalio", "bullmq": "bullmq"}


def needed(settings: Settings) -> Iterator[str]:
    """A sentence for each setting or library that a destination in use lacks."""
    for destination in settings.destinations:
        for name in _NEEDS.get(destination, ()):
            if not getattr(settings, name) and not getattr(settings, f"{name}_secret", None):
                yield f"RELAY_{name.upper()} is not set and {destination} needs it: set it"
        library = _EXTRAS.get(destination)
        if library is not None and find_spec(library) is None:
            yield (
                f"the destination {destination} needs a library that is not installed:"
                f" pip install 'sqs-relay[{destination}]'"
            )
    if bool(settings.temporal_signal) != bool(settings.temporal_workflow_id_path):
        yield (
            "RELAY_TEMPORAL_SIGNAL and RELAY_TEMPORAL_WORKFLOW_ID_PATH go together: set both, or"
            " neither"
        )
    yield from unusable(settings)


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
