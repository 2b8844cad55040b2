"""Credentials, region and clients, found as AWS's own tools find them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import BotoCoreError, NoCredentialsError  # type: ignore[import-untyped]  # ships no types

from relay.aws.errors import QueueError, translate
from relay.aws.signing import Credentials

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
"""Above the longest long poll, 20 s."""
CONNECTIONS = 50


class Session:
    """One AWS identity in one region; clients are opened on demand and closed with it.

    The environment's AWS variables count: `AWS_PROFILE`, `AWS_REGION` and `AWS_DEFAULT_REGION`,
    `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.
    """

    def __init__(self, session: AioSession, stack: AsyncExitStack, region: str | None) -> None:
        self.aio = session
        self._stack = stack
        self._region = region
        self._credentials: Any = None
        self._clients: dict[tuple[str, str | None], Any] = {}

    @property
    def region(self) -> str | None:
        """The region asked for, else the environment's or the profile's."""
        # botocore itself reads AWS_DEFAULT_REGION only; the command line and containers set both.
        found = self._region or os.environ.get("AWS_REGION")
        return found or self.aio.get_config_variable("region")

    @property
    def verify(self) -> str | bool:
        """The certificates to trust: `AWS_CA_BUNDLE` or the profile's, else True for the usual."""
        return self.aio.get_config_variable("ca_bundle") or True

    async def credentials(self) -> Credentials:
        """The credentials to sign with now, refreshed where they have an end.

        Raises:
            QueueError: there are none, or they could not be had.
        """
        try:
            if self._credentials is None:
                found = await AioSession(profile=self.aio.profile).get_credentials()
                if found is None:
                    raise NoCredentialsError
                self._credentials = found
            frozen: Credentials = await self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise translate(error, "finding credentials", "this machine") from error
        return frozen

    def forget_credentials(self) -> None:
        """Look everywhere again at the next call: files and roles do get new ones."""
        self._credentials = None

    async def client(self, service: str, region: str | None = None) -> Any:
        """The aiobotocore client of this service, the same one at each call.

        Raises:
            QueueError: no region is known, or the profile cannot be used.
        """
        key = (service, region or self.region)
        if key not in self._clients:
            # Retries are ours: a retry inside a retry multiplies.
            config = AioConfig(
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                max_pool_connections=CONNECTIONS,
            )
            try:
                opening = self.aio.create_client(service, region_name=key[1], config=config)
                self._clients[key] = await self._stack.enter_async_context(opening)
            except (BotoCoreError, ValueError) as error:
                raise translate(error, f"opening {service}", key[1] or "AWS") from error
        return self._clients[key]


@asynccontextmanager
async def open_session(
    region: str | None = None, profile: str | None = None
) -> AsyncIterator[Session]:
    """An AWS session for as long as the block runs. It calls nobody until a client is used.

    Raises:
        QueueError: the profile does not exist.
    """
    async with AsyncExitStack() as stack:
        try:
            session = AioSession(profile=profile)
            session.get_config_variable("region")
        except BotoCoreError as error:
            raise QueueError(type(error).__name__, "other", f"{error}; see AWS_PROFILE") from error
        yield Session(session, stack, region)
