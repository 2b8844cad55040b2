"""AWS sessions: credentials, region and clients as AWS's own tools find them."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import certifi
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]  # ships no types

from relay.aws.configuration import Configuration, read_configuration
from relay.aws.credentials import Credentials, CredentialSource
from relay.aws.endpoints import GLOBAL_VARIABLE, ignored, service_variable, usual_endpoint
from relay.aws.errors import AwsError, misconfigured, translate
from relay.http.threads import start_in_thread
from relay.http.tls import NoAuthorities, reason_of

if TYPE_CHECKING:
    from relay.aws.general_clients import GeneralClients

CONNECT_TIMEOUT = 5.0

READ_TIMEOUT = 30.0
"""Seconds; longer than the longest long poll of 20 s."""

CONNECTIONS = 50


class Session:
    """One AWS identity in one region; clients are opened on demand and closed with it.

    The environment's AWS variables count: `AWS_PROFILE`, `AWS_REGION` and `AWS_DEFAULT_REGION`,
    `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.
    """

    def __init__(
        self,
        configuration: Configuration,
        stack: AsyncExitStack,
        region: str | None,
        profile: str | None = None,
    ) -> None:
        self._configuration = configuration
        self._profile = profile
        self._stack = stack
        self._region = region
        self._clients: dict[tuple[str, str | None, str | None], Any] = {}
        self._tls: dict[str | bool, ssl.SSLContext] = {}
        self._general: GeneralClients | None = None
        self._located: dict[tuple[str, str | None, str | None], tuple[str, str]] = {}
        self._credentials = CredentialSource(profile, lambda: self.region)

    @property
    def region(self) -> str | None:
        """The requested region, else that of the environment or the profile."""
        # botocore itself reads only AWS_DEFAULT_REGION; the command line and containers set both.
        found = self._region or os.environ.get("AWS_REGION")
        return found or self._configuration.get_config_variable("region")

    @property
    def verify(self) -> str | bool:
        """The CA file to trust: `AWS_CA_BUNDLE` or the profile's, else True for the default."""
        return self._configuration.get_config_variable("ca_bundle") or True

    def tls_context(self) -> ssl.SSLContext:
        """A TLS context that trusts these certificates.

        Raises:
            AwsError: the file has none.
        """
        verify = self.verify
        try:
            if verify not in self._tls:
                self._tls[verify] = ssl.create_default_context(
                    cafile=certifi.where() if verify is True else str(verify)
                )
            return self._tls[verify]
        except OSError as error:
            variable = "AWS_CA_BUNDLE"
            if not os.environ.get(variable):
                variable = "ca_bundle of the AWS profile"
            none = NoAuthorities(variable, str(self.verify), reason_of(error))
            raise AwsError("NoAuthorities", "misconfigured", str(none), variable=variable) from none

    async def credentials(self) -> Credentials:
        """The credentials to sign with now, refreshed if they expire.

        Raises:
            AwsError: there are none, or they could not be retrieved.
        """
        return await self._credentials.current()

    def forget_credentials(self) -> None:
        """Search for credentials again at the next call: files and roles may have new ones."""
        self._credentials.forget()

    async def client(
        self, service: str, region: str | None = None, endpoint: str | None = None
    ) -> Any:
        """The aiobotocore client of this service, the same one at each call.

        An endpoint in the environment or the profile wins over `endpoint`.

        Raises:
            AwsError: no region is known, or the profile, endpoint or certificates are unusable.
        """
        key = (service, region or self.region, endpoint)
        if key not in self._clients:
            self._check_authorities()
            with self._opening(service, key[1]):
                followed = endpoint if self._follows(service) else None
                async with AsyncExitStack() as trying:
                    client = await trying.enter_async_context(
                        self._general_clients().open(service, key[1], followed)
                    )
                    _check_endpoint(client.meta.endpoint_url)
                    self._stack.push_async_exit(trying.pop_all())
            self._clients[key] = client
        return self._clients[key]

    async def locate(
        self, service: str, region: str | None = None, endpoint: str | None = None
    ) -> tuple[str, str]:
        """The endpoint and the region of this service, as a client of AWS's library has them.

        An endpoint in the environment or the profile wins over `endpoint`.

        Raises:
            AwsError: no region is known, or the profile, endpoint or certificates are unusable.
        """
        key = (service, region or self.region, endpoint)
        if key not in self._located:
            self._check_authorities()
            with self._opening(service, key[1]):
                followed = endpoint if self._follows(service) else None
                found = await start_in_thread(
                    lambda: self._locate(service, key[1], followed), f"endpoint of {service}"
                )
                _check_endpoint(found[0])
            self._located[key] = found
        return self._located[key]

    def _locate(self, service: str, region: str | None, endpoint: str | None) -> tuple[str, str]:
        usual = usual_endpoint(self._configuration, service, region, endpoint)
        if usual is not None and region is not None:
            return usual, region
        from botocore.session import (  # type: ignore[import-untyped]  # noqa: PLC0415 - ships no types, takes 12 MB
            Session as BotoSession,
        )

        # A session of its own, so that the model of all services' endpoints (8 MB) is not kept.
        # With a key it does not search for credentials. It makes no call.
        client = BotoSession(profile=self._profile).create_client(
            service,
            region_name=region,
            endpoint_url=endpoint,
            verify=self.verify,
            aws_access_key_id="none",
            aws_secret_access_key="none",  # noqa: S106 - it signs nothing
        )
        client.close()
        return client.meta.endpoint_url, client.meta.region_name

    def _general_clients(self) -> GeneralClients:
        if self._general is None:
            from relay.aws.general_clients import GeneralClients  # noqa: PLC0415 - see there

            self._general = GeneralClients(
                self._profile, self._credentials, CONNECT_TIMEOUT, READ_TIMEOUT
            )
        return self._general

    def _check_authorities(self) -> None:
        """Refuse unusable certificates: a client would fail without naming the cause."""
        if self.verify is not True:
            self.tls_context()

    @contextmanager
    def _opening(self, service: str, region: str | None) -> Iterator[None]:
        try:
            yield
        except BotoCoreError as error:
            raise translate(error, f"opening {service}", region or "AWS") from error
        except ValueError as error:
            raise misconfigured(error, service_variable(service)) from error

    async def endpoint_source(self, service: str) -> str | None:
        """What configures the service's endpoint, for a sentence; None if nothing does."""
        if self._follows(service):
            return None
        variables = (service_variable(service), GLOBAL_VARIABLE)
        return next(filter(os.environ.get, variables), "endpoint_url of the AWS profile")

    def _follows(self, service: str) -> bool:
        """Whether neither the environment nor the profile configures an endpoint."""
        if ignored():
            return True
        variables = (GLOBAL_VARIABLE, service_variable(service))
        return not any(map(os.environ.get, variables)) and not any(
            self._configuration.get_scoped_config().get(key) for key in ("endpoint_url", "services")
        )


@asynccontextmanager
async def open_session(
    region: str | None = None, profile: str | None = None
) -> AsyncIterator[Session]:
    """An AWS session for the duration of the block. No call is made until a client is used.

    Raises:
        AwsError: the profile does not exist, or AWS's files cannot be read.
    """
    async with AsyncExitStack() as stack:
        try:
            configuration = read_configuration(profile)
        except BotoCoreError as error:
            raise translate(error, "opening a session", "this machine") from error
        yield Session(configuration, stack, region, profile)


class SharedSession:
    """Opens one session at the first call, and tries again at the next call after a failure.

    A missing profile or region therefore does not prevent the relay from starting and reporting it.
    """

    def __init__(self, resources: AsyncExitStack) -> None:
        self._resources = resources
        self._opening = asyncio.Lock()
        self._session: Session | None = None

    async def __call__(self) -> Session:
        """The session.

        Raises:
            AwsError: it cannot be opened.
        """
        async with self._opening:
            if self._session is None:
                self._session = await self._resources.enter_async_context(open_session())
        return self._session


def _check_endpoint(endpoint: str) -> None:
    """Refuse an endpoint that botocore accepts although it cannot be called.

    Raises:
        ValueError: its scheme or port is invalid.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or parts.port == 0:
        raise ValueError(f"Invalid endpoint: {endpoint}")
