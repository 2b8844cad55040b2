"""AWS sessions: credentials, region and clients as AWS's own tools find them, and signatures."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]  # ships no types
from botocore.httpsession import get_cert_path  # type: ignore[import-untyped]  # ships no types

from relay.aws.credentials import Credentials, CredentialSource
from relay.aws.errors import AwsError, misconfigured, translate
from relay.aws.resolver import ClientResolver
from relay.http.tls import NoAuthorities, reason_of

ALGORITHM = "AWS4-HMAC-SHA256"

CONNECT_TIMEOUT = 5.0

READ_TIMEOUT = 30.0
"""Seconds; longer than the longest long poll of 20 s."""

CONNECTIONS = 50


class Signer:
    """Signs requests to one path of one service in one region. Caches the signing key for a day."""

    def __init__(self, service: str, region: str, host: str, path: str) -> None:
        self._host = host
        self._path = path
        self._scope = f"{region}/{service}/aws4_request"
        self._region = region
        self._service = service
        self._key = b""
        self._key_of = ("", "")

    def headers(
        self, body: bytes, headers: Mapping[str, str], credentials: Credentials, at: float
    ) -> dict[str, str]:
        """The headers to send: those given and those of the signature.

        Args:
            body: the body that will be sent.
            headers: the headers to sign, with names in lower case; `host` is added.
            credentials: the credentials to sign with.
            at: seconds since the epoch. AWS refuses a time that is five minutes off.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        sent = {**headers, "host": self._host, "x-amz-date": stamp}
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        names = sorted(sent)
        signed = ";".join(names)
        lines = "".join(f"{name}:{sent[name]}\n" for name in names)
        digest = hashlib.sha256(body).hexdigest()
        request = f"POST\n{self._path}\n\n{lines}\n{signed}\n{digest}"
        scope = f"{stamp[:8]}/{self._scope}"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashed}"
        signature = _mac(self._day_key(credentials, stamp[:8]), text).hex()
        sent["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return sent

    def _day_key(self, credentials: Credentials, day: str) -> bytes:
        if self._key_of != (credentials.secret_key, day):
            key = f"AWS4{credentials.secret_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = _mac(key, part)
            self._key, self._key_of = key, (credentials.secret_key, day)
        return self._key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


class Session:
    """One AWS identity in one region; clients are opened on demand and closed with it.

    The environment's AWS variables count: `AWS_PROFILE`, `AWS_REGION` and `AWS_DEFAULT_REGION`,
    `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.
    """

    def __init__(
        self,
        session: AioSession,
        stack: AsyncExitStack,
        region: str | None,
        profile: str | None = None,
    ) -> None:
        self.aio = session
        self._stack = stack
        self._region = region
        self._clients: dict[tuple[str, str | None, str | None], Any] = {}
        self._resolver = ClientResolver(CONNECT_TIMEOUT)
        self._credentials = CredentialSource(profile, lambda: self.region)
        self._credentials.shared_with(session)

    @property
    def region(self) -> str | None:
        """The requested region, else that of the environment or the profile."""
        # botocore itself reads only AWS_DEFAULT_REGION; the command line and containers set both.
        found = self._region or os.environ.get("AWS_REGION")
        return found or self.aio.get_config_variable("region")

    @property
    def verify(self) -> str | bool:
        """The CA file to trust: `AWS_CA_BUNDLE` or the profile's, else True for the default."""
        return self.aio.get_config_variable("ca_bundle") or True

    def tls_context(self) -> ssl.SSLContext:
        """A TLS context that trusts these certificates.

        Raises:
            AwsError: the file has none.
        """
        try:
            return ssl.create_default_context(cafile=get_cert_path(self.verify))
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
            if self.verify is not True:
                self.tls_context()  # the client would fail at each request without naming the cause
            # The relay retries; retries inside retries multiply.
            config = AioConfig(
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                max_pool_connections=CONNECTIONS,
                connector_args={"resolver": self._resolver},
            )
            try:
                async with AsyncExitStack() as trying:
                    client = await trying.enter_async_context(
                        self.aio.create_client(
                            service,
                            region_name=key[1],
                            endpoint_url=endpoint if await self._follows(service) else None,
                            config=config,
                        )
                    )
                    _check_endpoint(client.meta.endpoint_url)
                    self._stack.push_async_exit(trying.pop_all())
            except BotoCoreError as error:
                raise translate(error, f"opening {service}", key[1] or "AWS") from error
            except ValueError as error:
                raise misconfigured(error, await self._endpoint_variable(service)) from error
            self._clients[key] = client
        return self._clients[key]

    async def endpoint_source(self, service: str) -> str | None:
        """What configures the service's endpoint, for a sentence; None if nothing does."""
        if await self._follows(service):
            return None
        variables = (await self._endpoint_variable(service), "AWS_ENDPOINT_URL")
        return next(filter(os.environ.get, variables), "endpoint_url of the AWS profile")

    async def _follows(self, service: str) -> bool:
        """Whether neither the environment nor the profile configures an endpoint."""
        if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return True
        variables = ("AWS_ENDPOINT_URL", await self._endpoint_variable(service))
        return not any(map(os.environ.get, variables)) and not any(
            self.aio.get_scoped_config().get(key) for key in ("endpoint_url", "services")
        )

    async def _endpoint_variable(self, service: str) -> str:
        """The endpoint's variable, which contains the service's id and not the client's name."""
        model = await self.aio.get_service_model(service)
        return f"AWS_ENDPOINT_URL_{model.service_id.replace(' ', '_').upper()}"


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
            session = AioSession(profile=profile)
            # With region and endpoint in the environment nothing else would check the profile.
            session.get_scoped_config()
        except BotoCoreError as error:
            raise translate(error, "opening a session", "this machine") from error
        yield Session(session, stack, region, profile)


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
