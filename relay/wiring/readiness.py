"""What `GET /ready` says: whether events flow, and if not, which setting to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay.handler import Handler
from relay.wiring.ways import Way


def readiness(forwarder: Way, handler: Handler) -> Callable[[], tuple[bool, Mapping[str, Any]]]:
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
            "in_hand": held.in_hand,
            "last_error": way.last_error,
        }

    return told


def misconfigured(mistakes: Sequence[str]) -> Callable[[], tuple[bool, Mapping[str, Any]]]:
    """The answer of a relay that cannot run with its settings: it holds, and names them."""

    def told() -> tuple[bool, Mapping[str, Any]]:
        return False, {
            "circuit": "halted",
            "halted": True,
            "reason": "; ".join(mistakes),
            "setting": None,
            "in_hand": 0,
            "last_error": None,
        }

    return told
