"""Temporal: one workflow for each event, or one signal to the workflow of an entity.

A workflow id is known again while the workflow is open and, after that, for as long as its
namespace retains closed ones; `REJECT_DUPLICATE` and `FAIL` make a repeat `ALREADY_EXISTS`. A
signal has no such id: it may arrive twice, and the event's id in it is for the workflow to see.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from relay.destinations.single_event import REFUSED, TOO_LARGE, Content, as_text, content
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from relay.model.traits import Traits

ADDRESS = "RELAY_TEMPORAL_ADDRESS"
NAMESPACE = "RELAY_TEMPORAL_NAMESPACE"
KEY = "RELAY_TEMPORAL_API_KEY"
WORKFLOW = "RELAY_TEMPORAL_WORKFLOW"
TLS = "RELAY_TEMPORAL_TLS"
CERTIFICATE = "RELAY_TEMPORAL_CERT_FILE"
AUTHORITY = "RELAY_TEMPORAL_CA_FILE"

_HALTS = {
    "UNAUTHENTICATED": KEY,
    "PERMISSION_DENIED": KEY,
    "NOT_FOUND": NAMESPACE,
    "UNIMPLEMENTED": ADDRESS,
}
_ABOUT_SERVER = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")

_UNCONNECTED: tuple[tuple[str, str | None, str], ...] = (
    ("InvalidCertificate", AUTHORITY, "its certificate is not one that is trusted here"),
    ("NoCertificatesPresented", CERTIFICATE, "the client's certificate is none"),
    ("KeyMismatch", CERTIFICATE, "the client's certificate and private key are no pair"),
    ("InvalidContentType", TLS, "it does not talk TLS"),
    ("code: Unauthenticated", KEY, "it does not know the key"),
    ("code: PermissionDenied", KEY, "the key has no permission"),
    ("Name or service not known", ADDRESS, "its name does not resolve"),
    ("ConnectionRefused", None, "it refuses connections"),
    ("call error after connection", None, "it hangs up: does it want TLS, or a certificate?"),
)
"""What the client's words hold (observed), the setting to look at, and our words for it."""

_CONNECTING = "Failed client connect"
"""How its words begin when it had not asked yet (observed)."""

_SHOWN = 200


def refused(status: str, message: str) -> Outcome:
    """What a gRPC status says that is no success.

    Raises:
        Unavailable: it says nothing about the event.
    """
    sentence = f"Temporal answers {status}: {message[:_SHOWN]}"
    if status == "INVALID_ARGUMENT":
        return _invalid(message, sentence)
    setting = _HALTS.get(status)
    raise Unavailable(
        sentence,
        setting=setting,
        proven=setting is not None or status in _ABOUT_SERVER,
        not_accepted=setting is not None or status == "RESOURCE_EXHAUSTED",
    )


def unconnected(error: Exception) -> Unavailable:
    """What the client's error means that is no answer: most often, that it found nobody to ask."""
    told = str(error)
    first_line = (told.splitlines() or [type(error).__name__])[0][:_SHOWN]
    known = ((setting, meaning) for words, setting, meaning in _UNCONNECTED if words in told)
    setting, meaning = next(known, (None, first_line))
    return Unavailable(
        f"Temporal cannot be reached: {meaning}",
        setting=setting,
        proven=True,
        not_accepted=_CONNECTING in told,
    )


def _invalid(message: str, sentence: str) -> Outcome:
    if "exceeds" in message and "limit" in message:
        return Reject(TOO_LARGE, sentence)
    if "orkflow" in message and ("Id" in message or "id" in message.split()):
        return Reject(REFUSED, sentence)
    raise Unavailable(sentence, setting=WORKFLOW, not_accepted=True)


PAYLOAD_BYTES = 2_000_000
"""The server refuses a payload above 2 MB (Temporal's documented limits)."""


def traits(retention: float, *, signals: bool) -> Traits:
    """What a namespace promises that retains closed workflows for so many seconds."""
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
    """Signal a workflow instead, which is started if there is none.

    `entity` gives the workflow's id for an event, or None where the event names none.
    """

    name: str
    entity: Callable[[Event], str | None]


class Client(Protocol):
    """What is asked of `temporalio.client.Client`."""

    async def start_workflow(self, workflow: str, *, id: str, task_queue: str, **more: Any) -> Any:  # noqa: A002 - the library's own name
        """Start a workflow, or signal one with `start_signal`."""
        ...


class Temporal:
    """Starts workflows of one type on one task queue.

    Args:
        client: gives the connected client; may raise `Unavailable`.
        workflow: the workflow's type.
        task_queue: where its workers listen.
        traits: what the namespace promises.
        signal: signal the workflow of an entity instead of starting one for each event.
        what: the whole event as the argument, or its data only.
        timeout: seconds for one call.
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
    ) -> None:
        self._client = client
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
        """What the namespace promises."""
        return self._traits

    def payload(self, event: Event) -> bytes:
        """The workflow's argument, or the signal's."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One start or signal; `Delivered.reference` is the run's id."""
        entity = self._signal.entity(event) if self._signal else as_text(event.id)
        if not entity:
            return Reject("no_entity", "the event does not name the workflow that it is for")
        client = await self._client()
        try:
            handle = await client.start_workflow(
                self._workflow,
                id=entity,
                task_queue=self._task_queue,
                rpc_timeout=self._timeout,
                **self._how(payload),
            )
        except self._exceptions.WorkflowAlreadyStartedError as error:
            return Delivered(error.run_id, duplicate=True)
        except self._service.RPCError as error:
            return refused(error.status.name, error.message)
        except (OSError, RuntimeError) as error:
            # The client's own word for a server that it cannot connect to.
            raise unconnected(error) from None
        return Delivered(handle.first_execution_run_id or handle.result_run_id)

    def _how(self, payload: bytes) -> dict[str, Any]:
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
    authority: bytes | None = None,
) -> Client:
    """A client that connects at its first call and tries nothing twice by itself.

    Args:
        address: `host:port` of the frontend.
        namespace: the namespace.
        api_key: of a Cloud namespace; empty for none.
        tls: talk TLS; with a key or a certificate it is talked anyway.
        certificate: the client's certificate and private key, as PEM.
        authority: who signs the server's certificate, as PEM; None for the usual.
    """
    library = importlib.import_module("temporalio.client")
    service = importlib.import_module("temporalio.service")
    client: Client = await library.Client.connect(
        address,
        namespace=namespace,
        api_key=api_key or None,
        tls=service.TLSConfig(
            server_root_ca_cert=authority,
            client_cert=certificate[0] if certificate else None,
            client_private_key=certificate[1] if certificate else None,
        )
        if tls or api_key or certificate or authority
        else False,
        retry_config=service.RetryConfig(max_retries=0, max_elapsed_time_millis=1),
        lazy=True,
    )
    return client
