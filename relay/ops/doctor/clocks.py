"""Whether the clocks add up, with true figures in the place of those that the settings state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relay.ops.doctor.result import CheckResult, duration, not_checked, ok, rule
from relay.settings.clocks import Clocks

SQSD = (
    "`sudo cat /etc/aws-sqsd.d/default.yaml` on an instance, or `eb config`, namespace"
    " aws:elasticbeanstalk:sqsd"
)
NGINX = "`sudo nginx -T | grep proxy_read_timeout` on an instance"
HOW = {
    "sqsd_inactivity_timeout": SQSD,
    "sqsd_visibility_timeout": SQSD,
    "sqsd_error_visibility_timeout": SQSD,
    "sqsd_retention": SQSD,
    "nginx_read_timeout": NGINX,
    "max_receive_count": "see queue.redrive-policy",
    "queue_retention": "see queue.exists",
    "dlq_retention": "see dlq.exists",
}
"""How to read each figure that is set outside of the relay."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of `relay.settings.clocks`, by its first two fields that are set elsewhere."""

    check: str
    fields: frozenset[str]
    why: str


PUSH = (
    Relation(
        "clocks.hold",
        frozenset({"sqsd_inactivity_timeout"}),
        "where sqsd hangs up first, its message can stay locked until its visibility ends",
    ),
    Relation(
        "clocks.visibility",
        frozenset({"sqsd_visibility_timeout", "sqsd_inactivity_timeout"}),
        "a message would come again while its request is still open",
    ),
    Relation(
        "clocks.nginx",
        frozenset({"nginx_read_timeout", "sqsd_inactivity_timeout"}),
        "nginx answers 504 for a message that the relay is still working on",
    ),
    Relation(
        "clocks.outage",
        frozenset({"sqsd_error_visibility_timeout", "max_receive_count"}),
        "an outage of the relay would empty the queue into the dead-letter queue",
    ),
    Relation(
        "clocks.sqsd-retention",
        frozenset({"sqsd_retention", "queue_retention"}),
        "sqsd deletes what it finds older, with no dead letter: a silent loss",
    ),
)
BOTH = (
    Relation(
        "clocks.dlq-retention",
        frozenset({"dlq_retention", "queue_retention"}),
        "a dead letter in a standard queue keeps the age that it had and may be gone at once",
    ),
)


def check_clocks(told: Clocks, real: Mapping[str, float], *, pull: bool) -> Iterator[CheckResult]:
    """Each relation with the figures that could be read; then those that differ from the settings.

    Args:
        told: what the settings state.
        real: what was read where it is truly set, by the names of the fields of `Clocks`.
        pull: leaves out what only push mode has.
    """
    figures: dict[str, Any] = dict(real)
    problems = {
        frozenset(f for f in problem.fields if f in HOW): problem.sentence
        for problem in replace(told, **figures).conflicts()
    }
    for relation in BOTH if pull else PUSH + BOTH:
        yield _relation(relation, problems.get(relation.fields), real)
    for name in sorted(real.keys() & {n for n in HOW if n.startswith(("sqsd", "nginx"))}):
        yield _stated(name, getattr(told, name), real[name])


def _relation(relation: Relation, problem: str | None, real: Mapping[str, float]) -> CheckResult:
    unread = sorted(relation.fields - real.keys())
    if problem is not None:
        return CheckResult(check=relation.check, state="fail", found=problem, why=relation.why)
    if unread:
        return not_checked(
            relation.check,
            f"adds up by the settings; {_variables(unread)} could not be compared here",
            why=relation.why,
            fix=f"compare: {'; '.join(dict.fromkeys(HOW[name] for name in unread))}",
        )
    return ok(relation.check, "adds up")


def _variables(names: Sequence[str]) -> str:
    return ", ".join(f"RELAY_{name.upper()}" for name in names)


def _stated(name: str, told: float, real: float) -> CheckResult:
    return rule(
        f"figures.{name.replace('_', '-')}",
        f"{duration(real)}, the settings say {duration(told)}",
        holds=told == real,
        why="the relay reckons with another figure than the true one",
        fix=f"set {_variables([name])} to {real:g}, or the other to {told:g}",
        otherwise="warn",
    )
