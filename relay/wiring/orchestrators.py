"""The destinations beside Inngest, each from its own group of settings."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jmespath  # type: ignore[import-untyped] # it ships no types

from relay.aws.states import Machine
from relay.destinations import bullmq, temporal
from relay.destinations.addresses import OnlyPublic
from relay.destinations.argo import URL as ARGO_URL
from relay.destinations.argo import Argo
from relay.destinations.http_peer import HttpPeer
from relay.destinations.one_by_one import OneByOne, Starter
from relay.destinations.prefect import URL as PREFECT_URL
from relay.destinations.prefect import Prefect
from relay.destinations.step_functions import StepFunctions
from relay.destinations.webhook import URL as WEBHOOK_URL
from relay.destinations.webhook import Webhook
from relay.destinations.webhook_presets import PRESETS
from relay.destinations.webhook_rules import parse_rules
from relay.destinations.webhook_signature import signing_key
from relay.message import Event
from relay.settings import Settings
from relay.settings.orchestrator_kinds import parsed_headers
from relay.wiring.kept_secret import KeptSecret
from relay.wiring.session import SharedSession
from relay.wiring.states import StatesMachine

Conflict = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Started:
    """A starter and what looks its secrets up again."""

    starter: Starter
    refresh: Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return


@contextlib.asynccontextmanager
async def open_orchestrator(
    name: str, settings: Settings, session: SharedSession, conflict: Conflict
) -> AsyncIterator[tuple[OneByOne, Callable[[], Awaitable[None]]]]:
    """The destination and what a probe looks up again, for as long as the block runs.

    `conflict` is called with an event whose id was used for another content.

    Raises:
        OSError: a certificate's file cannot be read.
        Unavailable: a URL that is kept elsewhere cannot be looked up.
    """
    async with AsyncExitStack() as stack:
        started = await _OPENERS[name](settings, stack, session, conflict)
        yield OneByOne(started.starter, settings.concurrency), started.refresh


async def _step_functions(
    settings: Settings, _stack: AsyncExitStack, session: SharedSession, conflict: Conflict
) -> Started:
    machine = StatesMachine(Machine(session, settings.step_functions_arn or ""))
    starter = StepFunctions(
        machine,
        express=settings.step_functions_express,
        timeout=settings.request_timeout,
        what=settings.content,
        conflict=conflict,
    )
    return Started(starter, _nothing)


async def _prefect(
    settings: Settings, stack: AsyncExitStack, _session: SharedSession, _conflict: Conflict
) -> Started:
    key = KeptSecret(settings, "prefect_api_key")
    peer = await _peer(stack, settings, settings.prefect_api_url or "", PREFECT_URL)
    starter = Prefect(
        peer,
        settings.prefect_deployment or "",
        credential=key.bearer,
        parameter=settings.prefect_parameter,
        what=settings.content,
    )
    return Started(starter, key.refresh)


async def _argo(
    settings: Settings, stack: AsyncExitStack, _session: SharedSession, conflict: Conflict
) -> Started:
    token = KeptSecret(settings, "argo_token")
    tls = _tls(None, None, settings.argo_authority)
    peer = await _peer(stack, settings, settings.argo_url or "", ARGO_URL, tls=tls)
    starter = Argo(
        peer,
        settings.argo_namespace,
        settings.argo_template or "",
        credential=token.bearer,
        kind="ClusterWorkflowTemplate" if settings.argo_cluster_template else "WorkflowTemplate",
        parameter=settings.argo_parameter,
        what=settings.content,
        conflict=conflict,
    )
    return Started(starter, token.refresh)


async def _webhook(
    settings: Settings, stack: AsyncExitStack, _session: SharedSession, _conflict: Conflict
) -> Started:
    url = await KeptSecret(settings, "webhook_url").value()
    peer = await _peer(
        stack,
        settings,
        url,
        WEBHOOK_URL,
        hide_path=True,
        tls=_tls(
            settings.webhook_certificate, settings.webhook_private_key, settings.webhook_authority
        ),
        resolve=None if settings.webhook_private else OnlyPublic(WEBHOOK_URL),
    )
    given = (settings.webhook_signing_key, settings.webhook_signing_key_old)
    headers = settings.webhook_headers
    starter = Webhook(
        peer,
        PRESETS[settings.webhook_preset],
        rules=parse_rules(settings.webhook_statuses),
        keys=[signing_key(key.get_secret_value()) for key in given if key is not None],
        headers=parsed_headers(headers.get_secret_value()) if headers else None,
        what=settings.content,
        remembered=settings.webhook_remembers,
    )
    return Started(starter, _nothing)


async def _temporal(
    settings: Settings, _stack: AsyncExitStack, _session: SharedSession, _conflict: Conflict
) -> Started:
    client = _TemporalClient(settings, KeptSecret(settings, "temporal_api_key"))
    signal = None
    if settings.temporal_signal and settings.temporal_entity_path:
        entity = _entity(settings.temporal_entity_path)
        signal = temporal.Signal(name=settings.temporal_signal, entity=entity)
    starter = temporal.Temporal(
        client.connected,
        settings.temporal_workflow or "",
        settings.temporal_task_queue or "",
        traits=temporal.traits(settings.temporal_retention, signals=signal is not None),
        signal=signal,
        what=settings.content,
        timeout=settings.request_timeout,
    )
    return Started(starter, client.refresh)


async def _bullmq(
    settings: Settings, stack: AsyncExitStack, _session: SharedSession, _conflict: Conflict
) -> Started:
    url = settings.bullmq_url.get_secret_value() if settings.bullmq_url else ""
    starter = bullmq.BullMQ(
        url,
        settings.bullmq_queue or "",
        prefix=settings.bullmq_prefix,
        attempts=settings.bullmq_attempts,
        kept=settings.bullmq_kept,
        what=settings.content,
        timeout=settings.request_timeout,
        in_flight=settings.concurrency,
    )
    return Started(await stack.enter_async_context(starter), _nothing)


_OPENERS: dict[
    str, Callable[[Settings, AsyncExitStack, SharedSession, Conflict], Awaitable[Started]]
] = {
    "step-functions": _step_functions,
    "prefect": _prefect,
    "argo": _argo,
    "webhook": _webhook,
    "temporal": _temporal,
    "bullmq": _bullmq,
}


class _TemporalClient:
    """The client, made at the first call, and anew after its key was looked up again."""

    def __init__(self, settings: Settings, key: KeptSecret) -> None:
        self._settings = settings
        self._key = key
        self._client: tuple[str, temporal.Client] | None = None

    async def connected(self) -> temporal.Client:
        """The client with the key as it is now."""
        key = await self._key.value()
        if self._client is None or self._client[0] != key:
            self._client = key, await self._connect(key)
        return self._client[1]

    async def refresh(self) -> None:
        """Look the key up again; connections are made anew."""
        await self._key.refresh()
        self._client = None

    async def _connect(self, key: str) -> temporal.Client:
        settings = self._settings
        certificate, private = settings.temporal_certificate, settings.temporal_private_key
        return await temporal.connect(
            settings.temporal_address or "",
            settings.temporal_namespace,
            api_key=key,
            tls=settings.temporal_tls,
            certificate=(_bytes(certificate), _bytes(private)) if certificate and private else None,
            authority=_bytes(settings.temporal_authority) if settings.temporal_authority else None,
        )


def _entity(path: str) -> Callable[[Event], str | None]:
    compiled: Any = jmespath.compile(path)

    def found(event: Event) -> str | None:
        value = compiled.search(json.loads(event.wire))
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) else None

    return found


async def _peer(
    stack: AsyncExitStack,
    settings: Settings,
    url: str,
    setting: str,
    *,
    hide_path: bool = False,
    tls: ssl.SSLContext | None = None,
    resolve: OnlyPublic | None = None,
) -> HttpPeer:
    peer = HttpPeer(
        url,
        setting,
        timeout=settings.request_timeout,
        in_flight=settings.concurrency,
        hide_path=hide_path,
        tls=tls,
        resolve=resolve,
    )
    return await stack.enter_async_context(peer)


def _tls(
    certificate: str | None, private_key: str | None, authority: str | None
) -> ssl.SSLContext | None:
    """How to talk TLS; None for the usual way."""
    if not certificate and not authority:
        return None
    context = httpx.create_ssl_context(trust_env=False)
    if authority:
        context = ssl.create_default_context(cafile=authority)
    if certificate:
        context.load_cert_chain(certificate, private_key)
    return context


def _bytes(path: str) -> bytes:
    return Path(path).read_bytes()
