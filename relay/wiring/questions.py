"""Questions to the orchestrator with the settings' keys, for the commands that only look."""

from __future__ import annotations

from relay.aws.errors import QueueError
from relay.aws.secrets import Secret
from relay.destinations.inngest_questions import Questions
from relay.settings import Settings
from relay.story.known import Unreached

REACH = 10.0
"""Seconds for one question."""


async def reading(settings: Settings) -> Questions:
    """The server that events go to, to be asked what it stored.

    Raises:
        Unreached: it wants a signing key and there is none, or it cannot be looked up.
    """
    key = settings.inngest_signing_key
    secret = key.get_secret_value() if key else None
    if settings.inngest_signing_key_secret is not None:
        try:
            secret = await Secret(settings.inngest_signing_key_secret).value()
        except QueueError as error:
            raise Unreached(error.sentence) from error
    if secret is None and settings.cloud:
        raise Unreached("the Cloud tells nothing without RELAY_INNGEST_SIGNING_KEY: set it")
    return Questions(
        settings.inngest_url,
        signing_key=secret,
        cloud=settings.cloud,
        env=settings.inngest_env,
        timeout=min(REACH, settings.request_timeout),
    )
