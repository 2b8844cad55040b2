"""A secret that is kept in Secrets Manager or Parameter Store, looked up when it is needed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from relay.aws.errors import AwsError, error_from_response, translate

PARAMETER = "ssm:"
CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is: the store's name for it, and the field of it if it is a JSON object."""

    name: str
    field: str | None
    parameter: bool

    @property
    def permission(self) -> str:
        """What the role needs to read it."""
        return "ssm:GetParameter" if self.parameter else "secretsmanager:GetSecretValue"

    @property
    def region(self) -> str | None:
        """The region of an ARN; None for a name, which is in the session's."""
        parts = self.name.split(":")
        return parts[3] if parts[0] == "arn" and len(parts) > 3 else None  # noqa: PLR2004 - where an ARN has it


def parse_secret(reference: str) -> SecretPlace:
    """Read `NAME`, `ARN`, `ssm:NAME`, each with or without `#field`. None of them holds a `#`."""
    bare, _, field = reference.partition("#")
    parameter = bare.startswith(
        (PARAMETER, "arn:aws:ssm:", "arn:aws-cn:ssm:", "arn:aws-us-gov:ssm:")
    )
    return SecretPlace(bare.removeprefix(PARAMETER), field or None, parameter)


class Secret:
    """The present value of a secret, kept for `max_age` seconds.

    `look_up` is the blocking call that reads the store; it runs in a thread. One look-up is under
    way at a time, whoever asks.
    """

    def __init__(
        self,
        reference: str,
        *,
        max_age: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        look_up: Callable[[SecretPlace], str] | None = None,
    ) -> None:
        self._place = parse_secret(reference)
        self._max_age = max_age
        self._clock = clock
        self._look_up = look_up or read_store
        self._lock = asyncio.Lock()
        self._value: str | None = None
        self._known_at = 0.0

    async def value(self, *, fresh: bool = False) -> str:
        """The secret; with `fresh`, which is for one that was just refused, as it is now.

        An old value is good until a new one is had: with the store out of reach it is returned,
        unless `fresh` was asked for.

        Raises:
            AwsError: it cannot be looked up; the sentence names the permission, and no value.
        """
        asked = self._clock()
        async with self._lock:
            # Whoever waited here for another's look-up is served by it.
            if self._value is not None and self._known_at >= self._oldest(asked, fresh=fresh):
                return self._value
            try:
                self._value = await asyncio.to_thread(self._look_up, self._place)
            except AwsError as error:
                if self._value is None or fresh or not error.transient:
                    raise
            self._known_at = self._clock()
            return self._value

    def _oldest(self, asked: float, *, fresh: bool) -> float:
        return asked if fresh else asked - self._max_age


def read_store(place: SecretPlace) -> str:
    """Read the secret from AWS. Blocks.

    Raises:
        AwsError: the store did not give it, or gave something that cannot be a key.
    """
    # Most relays have no secret to look up, and these take long to load.
    from aws_lambda_powertools.utilities.parameters.exceptions import (  # noqa: PLC0415 - as said
        GetParameterError,
    )

    try:
        text = _get(place)
    except GetParameterError as error:
        # The library keeps the cause only as the exception's context.
        cause = error.__context__
        raise _translated(cause if isinstance(cause, Exception) else error, place) from error
    except Exception as error:
        raise _translated(error, place) from error
    return _key(text, place)


def _get(place: SecretPlace) -> str:
    import boto3  # type: ignore[import-untyped] # noqa: PLC0415 - ships no types, loads slowly
    from aws_lambda_powertools.utilities import parameters  # noqa: PLC0415 - loads slowly
    from botocore.config import Config  # type: ignore[import-untyped] # noqa: PLC0415 - the same

    session = boto3.session.Session(region_name=place.region or os.environ.get("AWS_REGION"))
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # Whoever asks for the secret tries again by itself.
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    if place.parameter:
        store = parameters.SSMProvider(boto_config=config, boto3_session=session)
        found = store.get(place.name, decrypt=True, force_fetch=True)
    else:
        vault = parameters.SecretsProvider(boto_config=config, boto3_session=session)
        found = vault.get(place.name, force_fetch=True)
    return found.decode() if isinstance(found, bytes) else str(found)


def _translated(error: Exception, place: SecretPlace) -> AwsError:
    told = (getattr(error, "response", None) or {}).get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    if "KMS" in message or code in ("DecryptionFailure", "InvalidKeyId"):
        return error_from_response(f"KMS.{code}", message, 400, place.permission, place.name)
    return translate(error, place.permission, place.name)


def _key(text: str, place: SecretPlace) -> str:
    """The key in what the store holds, which may be a JSON object with several."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        if place.field is None and text.strip():
            return text.strip()
        raise _unusable(f"{place.name} is {'empty' if not text.strip() else 'no JSON object'}")
    if place.field is None:
        raise _unusable(f"{place.name} is a JSON object: name the field of it, {place.name}#field")
    value = content.get(place.field)
    if not isinstance(value, str) or not value.strip():
        raise _unusable(f"{place.name} has no text in its field {place.field}")
    return value.strip()


def _unusable(what: str) -> AwsError:
    return AwsError("SecretUnusable", "other", f"the secret {what}")
