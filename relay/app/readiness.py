"""What `GET /ready` says: whether events flow, and if not, which setting to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Protocol

from relay.app.forwarding import EventForwarder
from relay.delivery.handler import Handler
from relay.http.server import Readiness


class ReceiveStatus(Protocol):
    """The way in from the queue: its state, and why it is not open."""

    @property
    def state(self) -> str:
        """`open`, `backing-off`, `halted` or `stopping`."""
        ...

    @property
    def reason(self) -> str:
        """A sentence, empty while it is open."""
        ...


def readiness(forwarder: EventForwarder, handler: Handler) -> Readiness:
    """The answer of a relay that runs: ready while the circuit is closed and nothing halts."""

    def told() -> tuple[bool, Mapping[str, Any]]:
        way, held = forwarder.state, handler.status
        halted = way.circuit == "halted" or held.problem is not None
        return way.circuit == "closed" and not halted, {
            "circuit": way.circuit,
            "halted": halted,
            "reason": held.problem or way.reason or None,
            "setting": held.setting if held.problem else way.setting,
            "seconds": round(way.seconds, 1),
            "in_flight": held.in_flight,
            "last_error": way.last_error,
        }

    return told


def poller_readiness(told: Readiness, receiving: Callable[[], ReceiveStatus]) -> Readiness:
    """The same of a relay that receives for itself: not ready while nothing can be received."""

    def both() -> tuple[bool, Mapping[str, Any]]:
        well, fields = told()
        now = receiving()
        reasons = [reason for reason in (fields["reason"], now.reason) if reason]
        return well and now.state in ("open", "stopping"), {
            **fields,
            "halted": fields["halted"] or now.state == "halted",
            "reason": "; ".join(reasons) or None,
            "receiving": now.state,
        }

    return both


def named(mistake: str) -> str | None:
    """The setting that a mistake's sentence begins with, if it is about one."""
    word = mistake.split(maxsplit=1)[0]
    return word if word.startswith("RELAY_") else None


def misconfigured(mistakes: Sequence[str], held: Sized) -> Readiness:
    """The answer of a relay that cannot run with its settings: it holds, and names them."""

    def told() -> tuple[bool, Mapping[str, Any]]:
        return False, {
            "circuit": "halted",
            "halted": True,
            "reason": "; ".join(mistakes),
            "setting": named(mistakes[0]),
            "in_flight": len(held),
            "last_error": None,
        }

    return told
