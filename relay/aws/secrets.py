"""Secrets in Secrets Manager or Parameter Store, looked up when they are needed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relay.aws.credentials import check_variables
from relay.aws.errors import (
    MALFORMED,
    AwsError,
    error_from_response,
    invalid_response,
    read_text,
    translate,
)

PARAMETER = "ssm:"
_PARAMETER_ARN = re.compile("arn:aws[a-z-]*:ssm:", re.ASCII)
CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class SecretLocation:
    """Where a secret is stored: its name or ARN, and the field if it is a JSON object."""

    name: str
    field: str | None
    parameter: bool

    @property
    def permission(self) -> str:
        """The permission that reading it requires."""
        return "ssm:GetParameter" if self.parameter else "secretsmanager:GetSecretValue"

    @property
    def region(self) -> str | None:
        """The region in an ARN; None for a name, which means the session's region."""
        parts = self.name.split(":")
        return parts[3] if parts[0] == "arn" and len(parts) > 3 else None  # noqa: PLR2004 - its position in an ARN


def parse_secret(reference: str) -> SecretLocation:
    """Parse `NAME`, `ARN` or `ssm:NAME`, each with or without `#field`. None contains a `#`."""
    bare, _, field = reference.partition("#")
    parameter = bare.startswith(PARAMETER) or _PARAMETER_ARN.match(bare) is not None
    return SecretLocation(bare.removeprefix(PARAMETER), field or None, parameter)


class Secret:
    """The current value of a secret, cached for `max_age` seconds.

    `look_up` is the blocking call that reads the store; it runs in a thread. Concurrent callers
    share one look-up.
    """

    def __init__(
        self,
        reference: str,
        *,
        max_age: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        look_up: Callable[[SecretLocation], str] | None = None,
    ) -> None:
        self._location = parse_secret(reference)
        self._max_age = max_age
        self._clock = clock
        self._look_up = look_up or read_store
        self._lock = asyncio.Lock()
        self._value: str | None = None
        self._looked_up_at = 0.0

    async def value(self, *, fresh: bool = False) -> str:
        """The secret. `fresh` is for a value that was just refused, and forces a look-up.

        If the store cannot be reached, an expired value is returned, unless `fresh` is set.

        Raises:
            AwsError: it cannot be looked up. The sentence names the permission and never a value.
        """
        called_at = self._clock()
        async with self._lock:
            # Another caller may have looked it up while this one waited for the lock.
            if self._value is not None and self._looked_up_at >= self._oldest(
                called_at, fresh=fresh
            ):
                return self._value
            try:
                self._value = await asyncio.to_thread(self._look_up, self._location)
            except AwsError as error:
                if self._value is None or fresh or not error.transient:
                    raise
            self._looked_up_at = self._clock()
            return self._value

    def _oldest(self, called_at: float, *, fresh: bool) -> float:
        return called_at if fresh else called_at - self._max_age


def read_store(location: SecretLocation) -> str:
    """Read the secret from AWS. Blocks.

    Raises:
        AwsError: the store did not return it, or returned something that cannot be a key.
    """
    return _key(read_whole(location), location)


def read_whole(location: SecretLocation) -> str:
    """Read the whole text of the secret from AWS. Blocks.

    Raises:
        AwsError: the store did not return it.
    """
    # Slow to import, and most relays have no secret to look up.
    from aws_lambda_powertools.utilities.parameters.exceptions import (  # noqa: PLC0415 - see above
        GetParameterError,
    )

    try:
        return _get(location)
    except GetParameterError as error:
        # The library sets only the exception's context, not its cause.
        cause = error.__context__
        raise _translated(cause if isinstance(cause, Exception) else error, location) from error
    except Exception as error:
        raise _translated(error, location) from error


def write_whole(location: SecretLocation, text: str) -> None:
    """Replace the whole text of a secret that exists, or of a parameter. Blocks.

    Raises:
        AwsError: the store did not take it.
    """
    session, config = _session_and_config(location)
    permission = "ssm:PutParameter" if location.parameter else "secretsmanager:PutSecretValue"
    try:
        if location.parameter:
            session.client("ssm", config=config).put_parameter(
                Name=location.name, Value=text, Type="SecureString", Overwrite=True
            )
        else:
            session.client("secretsmanager", config=config).put_secret_value(
                SecretId=location.name, SecretString=text
            )
    except Exception as error:
        raise translate(error, permission, location.name) from error


def _session_and_config(location: SecretLocation) -> tuple[Any, Any]:
    import boto3  # type: ignore[import-untyped] # noqa: PLC0415 - ships no types, loads slowly
    from botocore.config import Config  # type: ignore[import-untyped] # noqa: PLC0415 - the same

    check_variables()
    session = boto3.session.Session(region_name=location.region or os.environ.get("AWS_REGION"))
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # The caller retries.
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    return session, config


def _get(location: SecretLocation) -> str:
    from aws_lambda_powertools.utilities import parameters  # noqa: PLC0415 - loads slowly

    session, config = _session_and_config(location)
    if location.parameter:
        store = parameters.SSMProvider(boto_config=config, boto3_session=session)
        found = store.get(location.name, decrypt=True, force_fetch=True)
    else:
        vault = parameters.SecretsProvider(boto_config=config, boto3_session=session)
        found = vault.get(location.name, force_fetch=True)
    return found.decode() if isinstance(found, bytes) else read_text(found)


def _translated(error: Exception, location: SecretLocation) -> AwsError:
    if isinstance(error, MALFORMED):
        return invalid_response(location.permission, location.name, "readable value")
    details = (getattr(error, "response", None) or {}).get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    if "KMS" in message or code in ("DecryptionFailure", "InvalidKeyId"):
        return error_from_response(f"KMS.{code}", message, 400, location.permission, location.name)
    return translate(error, location.permission, location.name)


def _key(text: str, location: SecretLocation) -> str:
    """The key in the stored text, which may be a JSON object with several keys."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        # Some tools store a text as JSON, in quotes.
        bare = (content if isinstance(content, str) else text).strip()
        if location.field is None and bare:
            return bare
        raise _invalid(f"{location.name} is {'not a JSON object' if bare else 'empty'}")
    field = location.field or (next(iter(content)) if len(content) == 1 else None)
    if field is None:
        raise _invalid(
            f"{location.name} is a JSON object with {len(content)} fields: name one, as in"
            f" {location.name}#field"
        )
    value = content.get(field)
    if not isinstance(value, str) or not value.strip():
        raise _invalid(f"{location.name} has no text in its field {field}")
    return value.strip()


def _invalid(what: str) -> AwsError:
    return AwsError("InvalidSecret", "other", f"the secret {what}")
