"""Credentials, found as AWS's own tools find them: one source for every client of a session."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import NoCredentialsError  # type: ignore[import-untyped]  # ships no types

from relay.aws.errors import AwsError, kind_of, translate
from relay.http.threads import start_in_thread

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_CA_BUNDLE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
)
"""The variables that name credentials, or where to find them."""

REJECTED = ("expired-credentials", "credentials")
"""Kinds of errors after which the credentials are searched for again."""


MANDATORY = 600.0
"""Seconds before credentials expire from which a call waits for new ones, as botocore has it."""


class Credentials(Protocol):
    """Credentials for signing: an immutable snapshot."""

    @property
    def access_key(self) -> str:
        """The id of the key."""
        ...

    @property
    def secret_key(self) -> str:
        """The key."""
        ...

    @property
    def token(self) -> str | None:
        """The session's token, for temporary credentials."""
        ...


@dataclass(frozen=True, slots=True)
class EnvironmentKeys:
    """Credentials in environment variables, which come first for AWS's tools too."""

    access_key: str
    secret_key: str
    token: str | None
    account_id: str | None


class CredentialSource:
    """The credentials of a profile, searched for at the first use and whenever AWS rejects them.

    Files, roles and metadata services may have new ones by then. All clients of a session use the
    same source, so that none keeps a token that another one found to be expired.

    Args:
        profile: the profile's name; None for the one of the environment, if any.
        region: returns the region in which roles are assumed, None if it is not known.
    """

    def __init__(self, profile: str | None, region: Callable[[], str | None]) -> None:
        self._profile = profile
        self._region = region
        self._found: Any = None
        self._frozen: Credentials | None = None
        self._refreshing: asyncio.Future[Credentials] | None = None
        self._searching = asyncio.Lock()

    async def current(self) -> Credentials:
        """The credentials to sign with now, refreshed if they expire.

        Raises:
            AwsError: there are none, or they could not be retrieved.
        """
        try:
            found = self._found or await self._search()
            frozen = await self._snapshot(found)
        except RuntimeError as error:
            # botocore raises it if the credentials are still expired after a refresh.
            self.forget()
            sentence = f"the AWS credentials have expired ({error})"
            raise AwsError("Expired", "expired-credentials", sentence) from error
        except Exception as error:  # a credential process can fail in any way
            raise _explained(error) from error
        return frozen

    def forget(self) -> None:
        """Search for credentials again at the next call."""
        self._found, self._frozen, self._refreshing = None, None, None

    def rejected_with(self, code: str) -> None:
        """Forget the credentials if an answer has this error code."""
        if kind_of(code) in REJECTED:
            self.forget()

    async def _search(self) -> Any:
        async with self._searching:
            if self._found is None:
                check_variables()
                self._found = _keys_of_environment() if self._profile is None else None
            if self._found is None:
                found = await start_in_thread(self._look_everywhere, "search for AWS credentials")
                if found is None:
                    raise NoCredentialsError
                self._found = found
            return self._found

    def _look_everywhere(self) -> Any:
        from botocore.session import (  # type: ignore[import-untyped]  # noqa: PLC0415 - ships no types, takes 12 MB
            Session as BotoSession,
        )

        session = BotoSession(profile=self._profile)
        # botocore reads only AWS_DEFAULT_REGION, and some partitions have no global STS.
        if region := self._region():
            session.set_config_variable("region", region)
        return session.get_credentials()

    async def _snapshot(self, found: Any) -> Credentials:
        """A snapshot of what was found, which is refreshed in a thread if it expires soon.

        Until it must be refreshed, no call waits for that.
        """
        if isinstance(found, EnvironmentKeys):
            return found
        from botocore.credentials import (  # type: ignore[import-untyped]  # noqa: PLC0415 - imported by now
            RefreshableCredentials,
        )

        if not isinstance(found, RefreshableCredentials) or not found.refresh_needed():
            self._frozen = found.get_frozen_credentials()
            return self._frozen
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = start_in_thread(
                found.get_frozen_credentials, "refresh of AWS credentials"
            )
        if self._frozen is None or found.refresh_needed(MANDATORY):
            self._frozen = await asyncio.shield(self._refreshing)
        return self._frozen


def _keys_of_environment() -> EnvironmentKeys | None:
    """The keys in the environment; None if there are none, or they are left to botocore.

    Those are incomplete ones and ones that expire.
    """
    access_key = os.environ.get("AWS_ACCESS_KEY_ID")
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key or os.environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    token = os.environ.get("AWS_SECURITY_TOKEN") or os.environ.get("AWS_SESSION_TOKEN")
    account = os.environ.get("AWS_ACCOUNT_ID")
    return EnvironmentKeys(access_key, secret_key, token or None, account or None)


def check_variables() -> None:
    """Refuse a variable that begins or ends with white space, such as a line end from a file.

    AWS would reject what is made of it, without saying why.

    Raises:
        AwsError: names the variable.
    """
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if value != value.strip():
            raise AwsError(
                "StrayWhiteSpace",
                "misconfigured",
                f"{name} begins or ends with white space or a line end: remove it",
                variable=name,
            )


def _explained(error: Exception) -> AwsError:
    """The error of a search. A file that a variable names is a misconfiguration."""
    if isinstance(error, OSError) and error.filename:
        for name in VARIABLES:
            if os.environ.get(name) == str(error.filename):
                why = (error.strerror or "unreadable").lower()
                sentence = f"{name} names a file that cannot be read: {error.filename} ({why})"
                code = type(error).__name__
                return AwsError(code, "misconfigured", sentence, variable=name)
    return translate(error, "the search for credentials", "this machine")
