"""The workloads, and which contestants run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from bench import contestant
from bench.contestant import Contestant
from bench.run import Workload

SMALL = Workload(name="small", about="events of 300 B", size=300)
MEDIUM = Workload(name="medium", about="events of 2 KB", size=2_000)
LARGE = Workload(name="large", about="events of 100 KB", size=100_000)
SATURATION = Workload(
    name="saturation",
    about="events of 300 B, event API latency 20 ms, 500 in flight",
    size=300,
    latency=0.02,
)
POISON = Workload(name="poison", about="events of 300 B, 1 % of them poison", size=300, poison=0.01)

Plan: TypeAlias = Sequence[tuple[Workload, Sequence[Contestant]]]


def pull(peers: Sequence[Contestant], *, quick: bool) -> Plan:
    """Pull mode and the other consumers; `peers` are those on Node."""
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
    """Push mode and a typical web worker."""
    ours = contestant.relay_serve()
    beside = (SMALL, (ours, contestant.web_worker()))
    return (beside,) if quick else (beside, (MEDIUM, (ours,)))


def telemetry() -> Plan:
    """Each mode at each telemetry level, with the workload that costs least otherwise."""
    return ((SMALL, (contestant.observed("poll"), contestant.observed("serve"))),)


def workloads(*plans: Plan) -> dict[str, str]:
    """The description of each workload."""
    return {workload.name: workload.about for plan in plans for workload, _ in plan}


def contestants(*plans: Plan) -> dict[str, str]:
    """The description of each contestant."""
    return {one.name: one.about for plan in plans for _, all_ in plan for one in all_}
