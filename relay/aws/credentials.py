"""Credentials, found as AWS's own tools find them: one source for every client of a session."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiobotocore.credentials import AioCredentials  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # the same
from botocore.exceptions import NoCredentialsError  # type: ignore[import-untyped]  # the same

from relay.aws.errors import AwsError, kind_of, translate

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


class Credentials(Protocol):
    """Credentials for signing: an immutable snapshot."""

    access_key: str
    secret_key: str
    token: str | None


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
        self._searching = asyncio.Lock()

    async def current(self) -> Credentials:
        """The credentials to sign with now, refreshed if they expire.

        Raises:
            AwsError: there are none, or they could not be retrieved.
        """
        try:
            found = self._found or await self._search()
            frozen: Credentials = await found.get_frozen_credentials()
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
        self._found = None

    def shared_with(self, session: AioSession) -> None:
        """Let every client that is made from this session sign with these credentials."""
        session.register_component("credential_provider", _Provider(self.current))
        session.register("after-call", self._inspect)

    def _inspect(self, parsed: Mapping[str, Any], **_more: Any) -> None:
        """Forget the credentials that an answer rejects. botocore calls this for every answer."""
        error = parsed.get("Error")
        if error and kind_of(str(error.get("Code"))) in REJECTED:
            self.forget()

    async def _search(self) -> Any:
        async with self._searching:
            if self._found is None:
                check_variables()
                session = AioSession(profile=self._profile)
                # botocore reads only AWS_DEFAULT_REGION, and some partitions have no global STS.
                if region := self._region():
                    session.set_config_variable("region", region)
                found = await session.get_credentials()
                if found is None:
                    raise NoCredentialsError
                self._found = found
            return self._found


class _Provider:
    """Takes the place of botocore's chain of credential providers."""

    def __init__(self, current: Callable[[], Awaitable[Credentials]]) -> None:
        self._credentials = _SharedCredentials(current)

    async def load_credentials(self) -> AioCredentials:
        return self._credentials


class _SharedCredentials(AioCredentials):  # type: ignore[misc]  # ships no types
    """What a client takes for its credentials. Each signature reads them from the source."""

    def __init__(self, current: Callable[[], Awaitable[Credentials]]) -> None:
        super().__init__("", "", method="relay")
        self._current = current

    async def get_frozen_credentials(self) -> Credentials:
        return await self._current()

    async def get_account_id(self) -> str | None:
        return getattr(await self._current(), "account_id", None)


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
