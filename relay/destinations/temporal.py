"""Temporal: starts one workflow for each event, or signals the workflow that the event names.

A workflow id is deduplicated while the workflow is open and for as long as its namespace retains
closed workflows; with `REJECT_DUPLICATE` and `FAIL` a repeat is `ALREADY_EXISTS`. A signal has no
such id: it may arrive twice, and the workflow must check the event's id in it.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from relay.destinations.single_event import Content, content, text_id
from relay.http.proxies import Proxy, proxy_refused
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import REFUSED, TOO_LARGE, Delivered, Outcome, Reject, Retry
from relay.model.traits import Traits

ADDRESS = "RELAY_TEMPORAL_ADDRESS"
NAMESPACE = "RELAY_TEMPORAL_NAMESPACE"
KEY = "RELAY_TEMPORAL_API_KEY"
WORKFLOW = "RELAY_TEMPORAL_WORKFLOW"
TASK_QUEUE = "RELAY_TEMPORAL_TASK_QUEUE"
SIGNAL = "RELAY_TEMPORAL_SIGNAL"
TLS = "RELAY_TEMPORAL_TLS"
CERT_FILE = "RELAY_TEMPORAL_CERT_FILE"
CA_FILE = "RELAY_TEMPORAL_CA_FILE"

_HALTS = {
    "UNAUTHENTICATED": KEY,
    "PERMISSION_DENIED": KEY,
    "NOT_FOUND": NAMESPACE,
    "UNIMPLEMENTED": ADDRESS,
}
_ABOUT_SERVER = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")

_CONNECTION_ERRORS: tuple[tuple[str, str | None, str], ...] = (
    ("(UnknownIssuer", CA_FILE, "its certificate has an issuer that is not trusted"),
    ("(Expired", ADDRESS, "its certificate has expired, or this machine's clock is wrong"),
    ("(NotValidYet", ADDRESS, "its certificate is not valid yet, or this machine's clock is wrong"),
    ("(NotValidForName", ADDRESS, "its certificate is for another name"),
    ("InvalidCertificate", CA_FILE, "its certificate is not trusted"),
    ("NoCertificatesPresented", CERT_FILE, "the client certificate is invalid"),
    ("KeyMismatch", CERT_FILE, "the client certificate and the private key do not match"),
    ("InvalidContentType", TLS, "it does not speak TLS"),
    ("code: Unauthenticated", KEY, "it does not accept the key"),
    ("code: PermissionDenied", KEY, "the key has no permission"),
    ("Name or service not known", ADDRESS, "its name does not resolve"),
    ("ConnectionRefused", None, "it refuses connections"),
    (
        "call error after connection",
        None,
        "it closes the connection; it may need TLS or a client certificate",
    ),
)
"""Part of the client's error message (observed), the setting to check, and our message."""

_PROXY_STATUS = re.compile(r"CONNECT call failed with status: (\d{3})")
"""The client's error message for a proxy that refuses (observed)."""

_CONNECTING = "Failed client connect"
"""The start of the client's error message when it had sent no call yet (observed)."""

_INVALID_NAMES = (
    ("WorkflowType", WORKFLOW),
    ("taskQueue", TASK_QUEUE),
    ("missing task queue", TASK_QUEUE),
    ("SignalName", SIGNAL),
)
"""The start of the server's message about an invalid name (measured), and the setting to check."""

_TOO_MANY_SIGNALS = "limit for signal events"
_LARGER_THAN = "larger than max"
"""Parts of the server's messages (measured). The second is gRPC's for a request of over 4 MiB."""

_MESSAGE_CHARACTERS = 200

PAYLOAD_BYTES = 2_000_000
"""The server refuses a payload above 2 MB (Temporal's documented limits)."""


def failed_call(status: str, message: str) -> Outcome:
    """The outcome of a call that failed with this gRPC status.

    Raises:
        Unavailable: the status says nothing about the event.
    """
    sentence = f"Temporal answers {status}: {message[:_MESSAGE_CHARACTERS]}"
    if status == "INVALID_ARGUMENT":
        return _invalid(message, sentence)
    if status == "RESOURCE_EXHAUSTED" and _LARGER_THAN in message:
        return Reject(TOO_LARGE, sentence)
    setting = _HALTS.get(status)
    raise Unavailable(
        sentence,
        setting=setting,
        proven=setting is not None or status in _ABOUT_SERVER,
        not_accepted=setting is not None or status == "RESOURCE_EXHAUSTED",
    )


def connection_error(error: Exception, proxy: Proxy | None = None) -> Unavailable:
    """An error of the client without an answer, which is most often a failed connection."""
    message = str(error)
    if proxy is not None and (refused := _PROXY_STATUS.search(message)) is not None:
        failed = proxy_refused(proxy, int(refused[1]), "Temporal")
        return Unavailable(failed.sentence, setting=failed.variable, proven=True, not_accepted=True)
    first_line = (message.splitlines() or [type(error).__name__])[0][:_MESSAGE_CHARACTERS]
    known = ((setting, meaning) for part, setting, meaning in _CONNECTION_ERRORS if part in message)
    setting, meaning = next(known, (None, first_line))
    return Unavailable(
        f"Temporal cannot be reached: {meaning}",
        setting=setting,
        proven=True,
        not_accepted=_CONNECTING in message,
    )


def _invalid(message: str, sentence: str) -> Outcome:
    if message.startswith("Blob data size"):
        return Reject(TOO_LARGE, sentence)
    if _TOO_MANY_SIGNALS in message:
        # Signals are accepted again when the workflow has continued as new, or has ended.
        return Retry(sentence)
    if message.startswith("WorkflowId"):
        return Reject(REFUSED, sentence)
    known = (setting for start, setting in _INVALID_NAMES if message.startswith(start))
    raise Unavailable(sentence, setting=next(known, WORKFLOW), not_accepted=True)


def traits(retention: float, *, signals: bool) -> Traits:
    """The traits of a namespace that retains closed workflows for this many seconds."""
    return Traits(
        name="Temporal (signals)" if signals else "Temporal",
        recognised_by=None if signals else "the workflow's id",
        dedup_window=0.0 if signals else retention,
        durable=True,
        reports_duplicates=not signals,
        event_bytes=PAYLOAD_BYTES,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Signal a workflow instead of starting one; it is started if there is none.

    `workflow_id` returns the workflow's id for an event, or None if the event names none.
    """

    name: str
    workflow_id: Callable[[Event], str | None]


class Client(Protocol):
    """The part of `temporalio.client.Client` that is used."""

    async def start_workflow(self, workflow: str, *, id: str, task_queue: str, **more: Any) -> Any:  # noqa: A002 - the library's own name
        """Start a workflow, or signal one with `start_signal`."""
        ...


class Temporal:
    """Starts workflows of one type on one task queue.

    Args:
        client: returns the connected client; may raise `Unavailable`.
        workflow: the workflow's type.
        task_queue: the task queue of its workers.
        traits: the namespace's traits.
        signal: signal a workflow instead of starting one for each event.
        what: the whole event as the argument, or its data only.
        timeout: seconds for one call.
        proxy: the proxy that the client goes through, for its errors.
    """

    def __init__(
        self,
        client: Callable[[], Awaitable[Client]],
        workflow: str,
        task_queue: str,
        *,
        traits: Traits,
        signal: Signal | None = None,
        what: Content = "event",
        timeout: float = 30.0,
        proxy: Proxy | None = None,
    ) -> None:
        self._client = client
        self._proxy = proxy
        self._workflow = workflow
        self._task_queue = task_queue
        self._traits = traits
        self._signal = signal
        self._what = what
        self._timeout = timedelta(seconds=timeout)
        self._service = importlib.import_module("temporalio.service")
        self._exceptions = importlib.import_module("temporalio.exceptions")
        self._policies = importlib.import_module("temporalio.common")
        self._payload = importlib.import_module("temporalio.api.common.v1").Payload

    @property
    def traits(self) -> Traits:
        """The namespace's traits."""
        return self._traits

    def payload(self, event: Event) -> bytes:
        """The workflow's argument, or the signal's."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Start or signal one workflow; `Delivered.reference` is the run's id."""
        workflow_id = self._signal.workflow_id(event) if self._signal else text_id(event.id)
        if not workflow_id:
            return Reject("no_workflow_id", "the event does not name the workflow to signal")
        client = await self._client()
        try:
            # The client has no timeout for connecting.
            async with asyncio.timeout(self._timeout.total_seconds()):
                handle = await client.start_workflow(
                    self._workflow,
                    id=workflow_id,
                    task_queue=self._task_queue,
                    rpc_timeout=self._timeout,
                    **self._arguments(payload),
                )
        except self._exceptions.WorkflowAlreadyStartedError as error:
            return Delivered(error.run_id, duplicate=True)
        except self._service.RPCError as error:
            return failed_call(error.status.name, error.message)
        except (OSError, RuntimeError) as error:
            # The client raises RuntimeError for a server that it cannot connect to.
            raise connection_error(error, self._proxy) from None
        return Delivered(handle.first_execution_run_id or handle.result_run_id)

    def _arguments(self, payload: bytes) -> dict[str, Any]:
        argument = self._policies.RawValue(
            self._payload(metadata={"encoding": b"json/plain"}, data=payload)
        )
        if self._signal is not None:
            return {"start_signal": self._signal.name, "start_signal_args": [argument]}
        return {
            "args": [argument],
            "id_reuse_policy": self._policies.WorkflowIDReusePolicy.REJECT_DUPLICATE,
            "id_conflict_policy": self._policies.WorkflowIDConflictPolicy.FAIL,
        }


async def connect(
    address: str,
    namespace: str,
    *,
    api_key: str = "",
    tls: bool = False,
    certificate: tuple[bytes, bytes] | None = None,
    ca: bytes | None = None,
    proxy: Proxy | None = None,
) -> Client:
    """A client that connects at its first call and does not retry.

    Args:
        address: `host:port` of the frontend.
        namespace: the namespace.
        api_key: of a Cloud namespace; empty for none.
        tls: use TLS; with a key, a certificate or a CA it is always used.
        certificate: the client certificate and its private key, PEM.
        ca: the CA of the server's certificate, PEM; None for the default CAs.
        proxy: the proxy to go through; None to go direct.
    """
    library = importlib.import_module("temporalio.client")
    service = importlib.import_module("temporalio.service")
    client: Client = await library.Client.connect(
        address,
        namespace=namespace,
        api_key=api_key or None,
        tls=service.TLSConfig(
            server_root_ca_cert=ca,
            client_cert=certificate[0] if certificate else None,
            client_private_key=certificate[1] if certificate else None,
        )
        if tls or api_key or certificate or ca
        else False,
        retry_config=service.RetryConfig(max_retries=0, max_elapsed_time_millis=1),
        http_connect_proxy_config=service.HttpConnectProxyConfig(
            target_host=proxy.authority,
            basic_auth=(proxy.user, proxy.password) if proxy.headers else None,
        )
        if proxy
        else None,
        lazy=True,
    )
    return client
