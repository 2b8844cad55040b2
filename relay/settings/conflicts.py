"""Conflicts between settings, other than the clocks: values that must not be set together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings

from relay.settings.clocks import Conflict

ITS_OWN_DLQ = (
    "RELAY_DLQ_URL is the queue of RELAY_QUEUE_URL, where a dead letter would be received again and"
    " again: set it to a queue of its own for dead letters"
)


def secrets_set_twice(settings: BaseSettings) -> Iterator[Conflict]:
    """A conflict for each secret that is set together with its `_SECRET` form."""
    for secret_form in type(settings).model_fields:
        name = secret_form.removesuffix("_secret")
        if name == secret_form:
            continue
        if getattr(settings, name) and getattr(settings, secret_form):
            variable = f"RELAY_{name.upper()}"
            yield Conflict(
                (name, secret_form),
                f"{variable} and {variable}_SECRET are both set: remove one of them",
            )


def queue_as_its_own_dead_letter_queue(queue: str | None, dlq: str | None) -> Iterator[Conflict]:
    """The conflict if both references mean one queue."""
    if queue is None or dlq is None:
        return
    from relay.aws.references import same_queue  # noqa: PLC0415 - loads slowly

    if same_queue(queue, dlq):
        yield Conflict(("dlq_url",), ITS_OWN_DLQ)


def processes(count: int, in_flight: int) -> Iterator[Conflict]:
    """The conflicts of several processes: with the system, and with what they have to share."""
    if count > 1 and not sys.platform.startswith("linux"):
        yield Conflict(
            ("processes",),
            f"RELAY_PROCESSES is {count}, and only Linux can run several: set it to 1",
        )
    if count > in_flight:
        yield Conflict(
            ("processes", "max_in_flight"),
            f"RELAY_PROCESSES is {count}, and RELAY_MAX_IN_FLIGHT, which they share, {in_flight}:"
            " some would have no message at all; lower the first or raise the second",
        )


def confirm_without_key(confirm: str, url: str) -> Iterator[Conflict]:
    """The conflict if confirm mode is on, no signing key is set and the server needs one."""
    if not _is_nearby(url):
        yield Conflict(
            ("confirm", "inngest_url", "inngest_signing_key", "inngest_signing_key_secret"),
            f"RELAY_CONFIRM is {confirm} and RELAY_INNGEST_SIGNING_KEY is not set, without which"
            " the server does not let the relay read events back: set it, or set RELAY_CONFIRM=off"
            " and accept that a crash of the server loses the events that it has just acknowledged",
        )


def is_inngest_cloud(url: str) -> bool:
    """Whether the address is one of Inngest Cloud."""
    host = urlsplit(url).hostname or ""
    return f".{host}".endswith((".inn.gs", ".inngest.com"))


def _is_nearby(url: str) -> bool:
    """Whether it is probably a dev server, which needs no key: loopback, or a host without dots."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".docker.internal"))
