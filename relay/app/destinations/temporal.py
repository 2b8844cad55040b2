"""Opens the Temporal destination: a client that follows its API key, and signals if configured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jmespath  # type: ignore[import-untyped] # it ships no types

from relay.app.destinations.connections import OpenedStarter, RegisterSecret, SecretSetting
from relay.destinations.temporal import Client, Signal, Temporal, connect, traits
from relay.http.proxies import Proxy
from relay.http.proxy_variables import proxy_for
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.settings.model import Settings


def open_starter(settings: Settings, register_secret: RegisterSecret) -> OpenedStarter:
    """The starter that starts or signals the workflows that the settings name."""
    # Whether or not it uses TLS, a proxy can only forward gRPC through a tunnel.
    proxy = proxy_for(f"https://{settings.temporal_address}")
    key = SecretSetting(settings, "temporal_api_key", register_secret)
    client = ReconnectingClient(settings, key, proxy)
    signal = _signal(settings)
    starter = Temporal(
        client.connected,
        settings.temporal_workflow or "",
        settings.temporal_task_queue or "",
        traits=traits(settings.temporal_retention, signals=signal is not None),
        signal=signal,
        what=settings.content,
        timeout=settings.request_timeout,
        proxy=proxy,
    )
    return OpenedStarter(starter, client.refresh)


class ReconnectingClient:
    """The client, connected at the first call, and again after its key changed or was refreshed."""

    def __init__(self, settings: Settings, key: SecretSetting, proxy: Proxy | None) -> None:
        self._settings = settings
        self._proxy = proxy
        self._key = key
        self._client: tuple[str, Client] | None = None

    async def connected(self) -> Client:
        """The client with the current key.

        Raises:
            Unavailable: the key cannot be looked up, or a certificate file cannot be read.
        """
        key = await self._key.value()
        if self._client is None or self._client[0] != key:
            self._client = key, await self._connect(key)
        return self._client[1]

    async def refresh(self) -> None:
        """Look the key up again and reconnect at the next call."""
        await self._key.refresh()
        self._client = None

    async def _connect(self, key: str) -> Client:
        settings = self._settings
        certificate = _read_file(settings, "temporal_cert_file")
        private_key = _read_file(settings, "temporal_key_file")
        return await connect(
            settings.temporal_address or "",
            settings.temporal_namespace,
            api_key=key,
            tls=settings.temporal_tls,
            certificate=(certificate, private_key) if certificate and private_key else None,
            ca=_read_file(settings, "temporal_ca_file"),
            proxy=self._proxy,
        )


def _signal(settings: Settings) -> Signal | None:
    name, path = settings.temporal_signal, settings.temporal_workflow_id_path
    return Signal(name=name, workflow_id=_workflow_id(path)) if name and path else None


def _workflow_id(path: str) -> Callable[[Event], str | None]:
    compiled: Any = jmespath.compile(path)

    def find(event: Event) -> str | None:
        value = compiled.search(json.loads(event.wire))
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) else None

    return find


def _read_file(settings: Settings, name: str) -> bytes | None:
    """The content of the file that the setting names, read anew: it may have been renewed."""
    path = getattr(settings, name)
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read: {error.strerror}",
            setting=f"RELAY_{name.upper()}",
            proven=True,
            not_accepted=True,
        ) from error
