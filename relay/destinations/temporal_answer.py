"""What Temporal's answers mean, and what it means that there is none."""

from __future__ import annotations

from relay.destinations.codes import REFUSED, TOO_LARGE
from relay.message import Outcome, Reject, Unavailable

ADDRESS = "RELAY_TEMPORAL_ADDRESS"
NAMESPACE = "RELAY_TEMPORAL_NAMESPACE"
KEY = "RELAY_TEMPORAL_API_KEY"
WORKFLOW = "RELAY_TEMPORAL_WORKFLOW"
TLS = "RELAY_TEMPORAL_TLS"
CERTIFICATE = "RELAY_TEMPORAL_CERTIFICATE"
AUTHORITY = "RELAY_TEMPORAL_AUTHORITY"

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
        untaken=setting is not None or status == "RESOURCE_EXHAUSTED",
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
        untaken=_CONNECTING in told,
    )


def _invalid(message: str, sentence: str) -> Outcome:
    if "exceeds" in message and "limit" in message:
        return Reject(TOO_LARGE, sentence)
    if "orkflow" in message and ("Id" in message or "id" in message.split()):
        return Reject(REFUSED, sentence)
    raise Unavailable(sentence, setting=WORKFLOW, untaken=True)
