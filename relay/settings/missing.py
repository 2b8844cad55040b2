"""What the destinations in use still need: settings, libraries and readable certificate files."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from importlib.util import find_spec

from pydantic import SecretStr

from relay.http.proxy_variables import invalid_proxies
from relay.http.tls import NoAuthorities, environment_context, reason_of
from relay.settings.model import Settings

_REQUIRED = {
    "step-functions": ("step_functions_arn",),
    "temporal": ("temporal_address", "temporal_workflow", "temporal_task_queue"),
    "prefect": ("prefect_api_url", "prefect_deployment"),
    "argo": ("argo_url", "argo_template"),
    "webhook": ("webhook_url",),
    "bullmq": ("bullmq_url", "bullmq_queue"),
}
_URLS = {
    "inngest": "inngest_url",
    "prefect": "prefect_api_url",
    "argo": "argo_url",
    "webhook": "webhook_url",
}
_LIBRARIES = {"temporal": "temporalio", "bullmq": "bullmq"}


def missing(settings: Settings) -> list[str]:
    """A sentence with the fix for each thing without which events cannot be sent."""
    return [*_inngest_event_key(settings), *_requirements(settings), *_certificates(settings)]


def _inngest_event_key(settings: Settings) -> Iterator[str]:
    if "inngest" not in settings.destinations or not settings.cloud:
        return
    if not settings.inngest_event_key and not settings.inngest_event_key_secret:
        yield (
            "RELAY_INNGEST_EVENT_KEY is not set, and Inngest Cloud accepts no event without one:"
            " set it, or set RELAY_INNGEST_EVENT_KEY_SECRET to where it is stored, or"
            " RELAY_INNGEST_URL to your own server"
        )


def _requirements(settings: Settings) -> Iterator[str]:
    for destination in settings.destinations:
        for name in _REQUIRED.get(destination, ()):
            if not getattr(settings, name) and not getattr(settings, f"{name}_secret", None):
                yield f"RELAY_{name.upper()} is not set and {destination} needs it: set it"
        library = _LIBRARIES.get(destination)
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


def _certificates(settings: Settings) -> Iterator[str]:
    for destination in settings.destinations:
        prefix = destination.replace("-", "_")
        yield from _ca_file(settings, prefix)
        yield from _client_certificate(settings, prefix)
    yield from _network(settings)


def _ca_file(settings: Settings, prefix: str) -> Iterator[str]:
    path = getattr(settings, f"{prefix}_ca_file", None)
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        yield (
            f"RELAY_{prefix.upper()}_CA_FILE is not a readable file with certificates"
            f" ({reason_of(error)}): set it to one, in PEM format"
        )


def _client_certificate(settings: Settings, prefix: str) -> Iterator[str]:
    certificate, key = (
        getattr(settings, f"{prefix}_{part}", None) for part in ("cert_file", "key_file")
    )
    if not certificate and not key:
        return
    name = f"RELAY_{prefix.upper()}"
    if not certificate or not key:
        yield f"{name}_CERT_FILE and {name}_KEY_FILE go together: set both, or neither"
        return
    try:
        # With a password here OpenSSL does not prompt for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except OSError as error:
        yield (
            f"{name}_CERT_FILE and {name}_KEY_FILE are not a certificate and its private key"
            f" ({reason_of(error)}): set them to such a pair, in PEM format, without a password"
        )


def _trusts_environment(settings: Settings, destination: str) -> bool:
    """Whether the destination is connected to with TLS, and has no setting for its authority."""
    url = getattr(settings, _URLS.get(destination, ""), None)
    given = url.get_secret_value() if isinstance(url, SecretStr) else url or ""
    return given.startswith("https:") and not getattr(settings, f"{destination}_ca_file")


def _network(settings: Settings) -> Iterator[str]:
    """The variables of the environment that other programs read, too."""
    if any(_trusts_environment(settings, name) for name in settings.destinations):
        try:
            environment_context()
        except NoAuthorities as error:
            yield f"{error}: set it to certificates in PEM format, or remove it"
    if settings.proxy != "off":
        yield from map(str, invalid_proxies())
