"""Opens a client that reads an Inngest server and sends it no event."""

from __future__ import annotations

from relay.app.destinations.inngest import inngest_tls
from relay.aws.errors import AwsError
from relay.aws.secrets import Secret
from relay.destinations.inngest.queries import InngestQueries
from relay.ops.trace.timeline import SourceUnavailable
from relay.settings.model import Settings

QUERY_TIMEOUT = 10.0
"""Seconds for one request."""


async def open_inngest(settings: Settings) -> InngestQueries:
    """A client for reading events and runs from the Inngest server.

    Raises:
        SourceUnavailable: a required signing key is not set or cannot be looked up, or the
            certificates to trust cannot be read.
    """
    try:
        tls = inngest_tls(settings)
    except OSError as error:
        raise SourceUnavailable(str(error)) from error
    key = settings.inngest_signing_key
    secret = key.get_secret_value() if key else None
    if settings.inngest_signing_key_secret is not None:
        try:
            secret = await Secret(settings.inngest_signing_key_secret).value()
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
    if secret is None and settings.cloud:
        why = (
            ""
            if "inngest_url" in settings.model_fields_set
            else ", as RELAY_INNGEST_URL is not set"
        )
        raise SourceUnavailable(
            f"Inngest Cloud would be queried{why}, and requires a signing key: set"
            " RELAY_INNGEST_SIGNING_KEY"
        )
    return InngestQueries(
        settings.inngest_url,
        signing_key=secret,
        cloud=settings.cloud,
        env=settings.inngest_env,
        timeout=min(QUERY_TIMEOUT, settings.request_timeout),
        tls=tls,
    )
