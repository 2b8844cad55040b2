"""Whether the certificates' files that the settings name can be used, told before they must be."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

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
    path = getattr(settings, f"{user}_authority")
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        yield (
            f"RELAY_{user.upper()}_AUTHORITY is no file with certificates that can be read"
            f" ({_why(error)}): name one, PEM"
        )


def _pair(settings: Settings, user: str) -> Iterator[str]:
    certificate, key = (
        getattr(settings, f"{user}_{part}", None) for part in ("certificate", "private_key")
    )
    if not certificate and not key:
        return
    name = f"RELAY_{user.upper()}"
    if not certificate or not key:
        yield f"{name}_CERTIFICATE and {name}_PRIVATE_KEY go together: set both, or neither"
        return
    try:
        # With a password nobody is asked for one on a terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except OSError as error:
        yield (
            f"{name}_CERTIFICATE and {name}_PRIVATE_KEY are no files of a certificate and its key"
            f" ({_why(error)}): name a pair, PEM and without a password"
        )


def _why(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or "unreadable").replace("_", " ").lower()
