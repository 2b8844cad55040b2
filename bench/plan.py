"""The workloads, and which contestants run them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bench import contestant
from bench.contestant import Contestant
from bench.run import Workload

SMALL = Workload(name="small", about="events of 300 B", size=300)
MEDIUM = Workload(name="medium", about="events of 2 KB", size=2_000)
LARGE = Workload(name="large", about="events of 100 KB", size=100_000)
HUGE = Workload(name="huge", about="events of 1 MB", size=1_000_000)
SATURATION = Workload(
    name="saturation",
    about="events of 300 B, event API latency 20 ms, 500 in flight",
    size=300,
    latency=0.02,
)
POISON = Workload(name="poison", about="events of 300 B, 1 % of them poison", size=300, poison=0.01)

Section = Literal["pull", "push", "tls"]


@dataclass(frozen=True)
class Contest:
    """Contestants that process the same workload. In the section `tls` both servers speak https."""

    section: Section
    workload: Workload
    contestants: Sequence[Contestant]


Plan: TypeAlias = Sequence[Contest]


@dataclass(frozen=True)
class Peers:
    """The contestants that need programs which may be missing: without them they are empty."""

    node: Sequence[Contestant] = ()
    bento: Sequence[Contestant] = ()


def pull(peers: Peers, *, quick: bool) -> Plan:
    """Pull mode and the other consumers.

    Bento runs no poison: it cannot take one message of a batch to the dead-letter queue, and sends
    the batch again until someone does.
    """
    ours = contestant.relay_poll()
    all_ = (ours, contestant.floor(), *peers.bento)
    if quick:
        return (
            Contest("pull", SMALL, (*all_, *peers.node[1:])),
            Contest("pull", SATURATION, (ours,)),
        )
    return (
        Contest("pull", SMALL, (*all_, *peers.node, contestant.threads())),
        Contest("pull", MEDIUM, (*all_, *peers.node[1:])),
        Contest("pull", LARGE, all_),
        Contest("pull", HUGE, all_),
        Contest("pull", SATURATION, all_),
        Contest("pull", POISON, (ours,)),
    )


def tls(peers: Peers, *, quick: bool) -> Plan:
    """The same over TLS, as in production."""
    all_ = (contestant.relay_poll(), contestant.floor(), *peers.bento)
    small = Contest("tls", SMALL, (*all_, *peers.node[1:]))
    return (small,) if quick else (small, Contest("tls", LARGE, all_))


def push(*, quick: bool) -> Plan:
    """Push mode and a typical web worker."""
    ours = contestant.relay_serve()
    beside = Contest("push", SMALL, (ours, contestant.web_worker()))
    return (beside,) if quick else (beside, Contest("push", MEDIUM, (ours,)))


def telemetry() -> Sequence[Contestant]:
    """Each mode at each telemetry level, with the workload that costs least otherwise."""
    return contestant.observed("poll"), contestant.observed("serve")


def workloads(plan: Plan) -> dict[str, str]:
    """The description of each workload."""
    return {one.workload.name: one.workload.about for one in plan}


def contestants(plan: Plan) -> dict[str, str]:
    """The description of each contestant."""
    return {one.name: one.about for contest in plan for one in contest.contestants}
