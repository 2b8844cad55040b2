"""Check the timeouts against each other, with actual values in place of the configured ones."""

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
HOW_TO_READ = {
    "sqsd_inactivity_timeout": SQSD,
    "sqsd_visibility_timeout": SQSD,
    "sqsd_error_visibility_timeout": SQSD,
    "sqsd_retention": SQSD,
    "nginx_read_timeout": NGINX,
    "max_receive_count": "see queue.redrive-policy",
    "queue_retention": "see queue.exists",
    "dlq_retention": "see dlq.exists",
}
"""How to read each value that is set outside the relay."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of `relay.settings.clocks`, identified by those of its fields in `HOW_TO_READ`."""

    check: str
    fields: frozenset[str]
    why: str


PUSH = (
    Relation(
        "clocks.hold",
        frozenset({"sqsd_inactivity_timeout"}),
        "if sqsd disconnects first, the message can stay invisible until its visibility timeout",
    ),
    Relation(
        "clocks.visibility",
        frozenset({"sqsd_visibility_timeout", "sqsd_inactivity_timeout"}),
        "a message would be delivered again while its request is still open",
    ),
    Relation(
        "clocks.nginx",
        frozenset({"nginx_read_timeout", "sqsd_inactivity_timeout"}),
        "nginx returns 504 for a message that the relay is still processing",
    ),
    Relation(
        "clocks.outage",
        frozenset({"sqsd_error_visibility_timeout", "max_receive_count"}),
        "an outage of the relay would move the whole queue to the dead-letter queue",
    ),
    Relation(
        "clocks.hidden",
        frozenset({"sqsd_visibility_timeout", "queue_retention"}),
        "SQS deletes a message at the end of its retention, also while sqsd hides it",
    ),
    Relation(
        "clocks.sqsd-retention",
        frozenset({"sqsd_retention", "queue_retention"}),
        "sqsd deletes older messages without a dead letter: they are lost silently",
    ),
)
BOTH = (
    Relation(
        "clocks.dlq-retention",
        frozenset({"dlq_retention", "queue_retention"}),
        "a dead letter in a standard queue keeps its original age and may expire at once",
    ),
)


def check_clocks(
    configured: Clocks, actual: Mapping[str, float], *, pull: bool
) -> Iterator[CheckResult]:
    """Check each relation with the actual values, then compare these with the settings.

    Args:
        configured: the values in the settings.
        actual: the values read from sqsd, nginx and the queues, by field name of `Clocks`.
        pull: skips the relations that exist only in push mode.
    """
    values: dict[str, Any] = dict(actual)
    problems = {
        frozenset(f for f in problem.fields if f in HOW_TO_READ): problem.sentence
        for problem in replace(configured, **values).conflicts()
    }
    for relation in BOTH if pull else PUSH + BOTH:
        yield _relation(relation, problems.get(relation.fields), actual)
    for name in sorted(n for n in actual if n.startswith(("sqsd", "nginx")) and n in HOW_TO_READ):
        yield _setting(name, getattr(configured, name), actual[name])


def _relation(relation: Relation, problem: str | None, actual: Mapping[str, float]) -> CheckResult:
    unread = sorted(relation.fields - actual.keys())
    if problem is not None:
        return CheckResult(check=relation.check, status="fail", found=problem, why=relation.why)
    if unread:
        return not_checked(
            relation.check,
            f"the settings are consistent; the actual values of {_variables(unread)} could not be"
            " read here",
            why=relation.why,
            fix=f"compare: {'; '.join(dict.fromkeys(HOW_TO_READ[name] for name in unread))}",
        )
    return ok(relation.check, "consistent")


def _variables(names: Sequence[str]) -> str:
    return ", ".join(f"RELAY_{name.upper()}" for name in names)


def _setting(name: str, configured: float, actual: float) -> CheckResult:
    return rule(
        f"settings.{name.replace('_', '-')}",
        f"the actual value is {duration(actual)}, {_variables([name])} is {duration(configured)}",
        holds=configured == actual,
        why="the relay calculates with a value that is not the actual one",
        fix=f"set {_variables([name])} to {actual:g}, or the actual value to {configured:g}",
        otherwise="warn",
    )
