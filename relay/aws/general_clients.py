"""aiobotocore's clients, for calls outside the path of a message.

Importing them takes 18 MB and a quarter of a second of CPU, and happens at the first use of one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.credentials import AioCredentials  # type: ignore[import-untyped]  # the same
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # the same

from relay.aws.credentials import Credentials, CredentialSource
from relay.aws.resolver import ClientResolver

CONNECTIONS = 50


class GeneralClients:
    """Makes clients of any service, which sign with the credentials of one source.

    Args:
        profile: the AWS profile; None for the one of the environment, if any.
        credentials: the source of the credentials.
        connect_timeout: seconds.
        read_timeout: seconds.
    """

    def __init__(
        self,
        profile: str | None,
        credentials: CredentialSource,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        self._session = AioSession(profile=profile)
        self._session.register_component("credential_provider", _Provider(credentials.current))
        # botocore calls it for every answer.
        self._session.register("after-call", _Inspection(credentials))
        # The relay retries; retries inside retries multiply.
        self._config = AioConfig(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            max_pool_connections=CONNECTIONS,
            connector_args={"resolver": ClientResolver(connect_timeout)},
        )

    def open(
        self, service: str, region: str | None, endpoint: str | None
    ) -> AbstractAsyncContextManager[Any]:
        """The client of a service, for the duration of the block."""
        opening: AbstractAsyncContextManager[Any] = self._session.create_client(
            service, region_name=region, endpoint_url=endpoint, config=self._config
        )
        return opening


class _Inspection:
    """Has the credentials forgotten that an answer rejects."""

    def __init__(self, credentials: CredentialSource) -> None:
        self._credentials = credentials

    def __call__(self, parsed: Mapping[str, Any], **_more: Any) -> None:
        if error := parsed.get("Error"):
            self._credentials.rejected_with(str(error.get("Code")))


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
