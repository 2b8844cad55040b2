"""The answer of `GET /ready`: whether events are delivered, and if not, which setting to check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Protocol

from relay.app.forwarding import EventForwarder
from relay.delivery.handler import Handler
from relay.http.server import Readiness


class ReceiveStatus(Protocol):
    """Whether a poller can receive, and if not, why."""

    @property
    def state(self) -> str:
        """`open`, `backing-off`, `halted` or `stopping`."""
        ...

    @property
    def reason(self) -> str:
        """A sentence, empty while it is open."""
        ...


def readiness(forwarder: EventForwarder, handler: Handler) -> Readiness:
    """The answer of a running relay: ready while the circuit is closed and nothing is halted."""

    def answer() -> tuple[bool, Mapping[str, Any]]:
        forwarding, handling = forwarder.state, handler.status
        halted = forwarding.circuit == "halted" or handling.problem is not None
        return forwarding.circuit == "closed" and not halted, {
            "circuit": forwarding.circuit,
            "halted": halted,
            "reason": handling.problem or forwarding.reason or None,
            "setting": handling.setting if handling.problem else forwarding.setting,
            "seconds": round(forwarding.seconds, 1),
            "in_flight": handling.in_flight,
            "last_error": forwarding.last_error,
        }

    return answer


def poller_readiness(ready: Readiness, status: Callable[[], ReceiveStatus]) -> Readiness:
    """The answer of a relay that polls: also not ready while it cannot receive."""

    def answer() -> tuple[bool, Mapping[str, Any]]:
        delivering, fields = ready()
        receiving = status()
        reasons = [reason for reason in (fields["reason"], receiving.reason) if reason]
        return delivering and receiving.state in ("open", "stopping"), {
            **fields,
            "halted": fields["halted"] or receiving.state == "halted",
            "reason": "; ".join(reasons) or None,
            "receiving": receiving.state,
        }

    return answer


def misconfigured(problems: Sequence[str], held: Sized) -> Readiness:
    """The answer of a relay with bad settings: never ready; it names the problems."""

    def answer() -> tuple[bool, Mapping[str, Any]]:
        return False, {
            "circuit": "halted",
            "halted": True,
            "reason": "; ".join(problems),
            "setting": named_setting(problems[0]),
            "in_flight": len(held),
            "last_error": None,
        }

    return answer


def named_setting(problem: str) -> str | None:
    """The setting with which a problem's sentence begins, if any."""
    word = problem.split(maxsplit=1)[0]
    return word if word.startswith("RELAY_") else None
