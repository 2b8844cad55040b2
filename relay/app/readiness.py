"""Whether events are delivered, and if not, which setting to check: `GET /ready` and the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from relay.app.forwarding import EventForwarder
from relay.delivery.handler import Handler
from relay.delivery.pause import NeverPaused, Pausing
from relay.forwarding.undelivered import Stuck
from relay.model.facts import Observe, StuckChanged, ignore

if TYPE_CHECKING:
    from relay.http.server import Readiness  # with the server, which not every host has

CHECK_EVERY = 15.0
"""Seconds between checks, for the log. `/ready` and the metrics check by themselves."""

LONGEST_IN_FLIGHT = 600.0
"""Seconds that a message may be in flight while others are settled and the circuit is closed. It is
below the default hold of push mode, after which a message is given back."""


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


class StuckMonitor:
    """Notices that messages are not delivered although the circuit is closed and nothing is halted.

    Args:
        forwarder: notices events that are not delivered, for each destination.
        handler: notices messages that are not settled.
        after: seconds after which they count.
        longest: seconds that a message may be in flight while others are settled.
        setting: the setting to check for a message in flight.
        pause: held messages of a paused queue are not stuck.
        observe: called at the start and at the end.
        clock: seconds since the epoch, the handler's clock.
    """

    def __init__(
        self,
        forwarder: EventForwarder,
        handler: Handler,
        *,
        after: float,
        longest: float = LONGEST_IN_FLIGHT,
        setting: str | None = None,
        pause: Pausing | None = None,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._forwarder = forwarder
        self._handler = handler
        self._after = after
        self._longest = max(longest, after)
        self._setting = setting
        self._pause = pause or NeverPaused()
        self._observe = observe
        self._clock = clock
        self._clear_since = clock()
        self._reported: Stuck | None = None
        self._reported_at = clock()

    @property
    def current(self) -> Stuck | None:
        """What is stuck now."""
        progress = self._handler.progress
        closed = self._forwarder.state.circuit == "closed"
        clear = closed and self._handler.status.problem is None and not self._pause.paused
        progress.follow(closed=clear)
        if not clear:
            # Messages are held for a reason that is known, and may be old when it is over.
            self._clear_since = self._clock()
        found = self._forwarder.stuck(self._after)
        if found is None and clear:
            found = progress.stuck(self._after, longest=self._longest, since=self._clear_since)
        return found and replace(found, setting=found.setting or self._setting)

    def check(self) -> None:
        """Report a change since the last check. A timer calls this."""
        found, now = self.current, self._clock()
        if (found is None) != (self._reported is None):
            last = found or self._reported
            assert last is not None  # noqa: S101 - one of them is not None
            self._observe(
                StuckChanged(
                    stuck=found is not None,
                    reason=last.reason,
                    setting=last.setting,
                    seconds=now - self._reported_at,
                )
            )
            self._reported_at = now
        self._reported = found


def readiness(
    forwarder: EventForwarder,
    handler: Handler,
    monitor: StuckMonitor,
    warning: Callable[[], str | None] = lambda: None,
    pause: Pausing | None = None,
) -> Readiness:
    """The answer of a running relay.

    It is ready while the circuit is closed, nothing is halted, and what it tries to deliver is
    delivered. A pause is wanted and changes nothing of that: a relay that is deployed during one
    must not fail its deployment. `warnings` are for a person: messages are delivered meanwhile.
    """
    pausing = pause or NeverPaused()

    def answer() -> tuple[bool, Mapping[str, Any]]:
        forwarding, handling, stuck = forwarder.state, handler.status, monitor.current
        closed = forwarding.circuit == "closed"
        halted = forwarding.circuit == "halted" or handling.problem is not None
        if handling.problem is not None:
            reason, setting = handling.problem, handling.setting
        elif stuck is not None and closed:
            reason, setting = stuck.reason, stuck.setting
        else:
            reason, setting = forwarding.reason, forwarding.setting
        return closed and not halted and stuck is None, {
            "circuit": forwarding.circuit,
            "halted": halted,
            "stuck": stuck is not None,
            "paused": pausing.current is not None,
            "pause": pausing.current and pausing.current.as_json(),
            "reason": reason or None,
            "setting": setting,
            "seconds": round(forwarding.seconds, 1),
            "in_flight": handling.in_flight,
            "last_error": forwarding.last_error,
            "warnings": [text for text in (handling.warning, warning(), pausing.warning) if text],
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
            "stuck": False,
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
