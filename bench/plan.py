"""Which contestants do which work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from bench import contestant
from bench.contestant import Contestant
from bench.run import Work

SMALL = Work(name="small", about="events of 300 B", size=300)
MEDIUM = Work(name="medium", about="events of 2 KB", size=2_000)
LARGE = Work(name="large", about="events of 100 KB", size=100_000)
SATURATION = Work(
    name="saturation",
    about="events of 300 B, the event API takes 20 ms, 500 in hand",
    size=300,
    latency=0.02,
)
POISON = Work(name="poison", about="events of 300 B, 1 % of them poison", size=300, poison=0.01)

Plan: TypeAlias = Sequence[tuple[Work, Sequence[Contestant]]]


def pull(peers: Sequence[Contestant], *, quick: bool) -> Plan:
    """Pull mode beside those who receive for themselves; `peers` are those on Node."""
    ours = contestant.relay_poll()
    both = (ours, contestant.floor())
    if quick:
        return (SMALL, (*both, *peers[1:])), (SATURATION, (ours,))
    return (
        (SMALL, (*both, *peers, contestant.threads())),
        (MEDIUM, (*both, *peers[1:])),
        (LARGE, both),
        (SATURATION, both),
        (POISON, (ours,)),
    )


def push(*, quick: bool) -> Plan:
    """Push mode beside a worker as most people write it."""
    ours = contestant.relay_serve()
    beside = (SMALL, (ours, contestant.web_worker()))
    return (beside,) if quick else (beside, (MEDIUM, (ours,)))


def telemetry() -> Plan:
    """Each mode with more and less telemetry, where everything else costs least."""
    return ((SMALL, (contestant.observed("poll"), contestant.observed("serve"))),)


def works(*plans: Plan) -> dict[str, str]:
    """What each work is."""
    return {work.name: work.about for plan in plans for work, _ in plan}


def contestants(*plans: Plan) -> dict[str, str]:
    """What each contestant is."""
    return {one.name: one.about for plan in plans for _, all_ in plan for one in all_}
