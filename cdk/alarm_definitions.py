"""What is worth an alarm: each condition with its figure, and what to do first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch

from cdk.deployment_metrics import MINUTE, DeploymentMetrics, formula
from relay.settings import clocks
from relay.telemetry import metrics

RUNBOOK = "docs/runbook.md"

STALLED_PERIOD = 5 * MINUTE
STALLED_PERIODS = 3
"""Longer than the longest hold, which looks like a standstill and is none."""

DRAIN_LIMIT = 30 * MINUTE
REJECTED_SHARE = 0.05
REJECTED_LEAST = 20
"""Below so many refusals in five minutes a share says nothing."""

BURN_RATE = 14.4
"""An hour at this multiple of the allowed lateness uses up a fiftieth of a month's."""

DLQ_MARGIN = 4 * clocks.DAY
"""How long before the dead-letter queue's retention somebody must look."""

MISSING_IS_FINE = cloudwatch.TreatMissingData.NOT_BREACHING
MISSING_IS_BAD = cloudwatch.TreatMissingData.BREACHING
ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One alarm. `name` is its section in the runbook, too.

    A `symptom` sends nothing by itself: it is gathered in one alarm, which keeps quiet while an
    open circuit explains it.
    """

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    periods: int
    means: str
    first: str
    comparison: cloudwatch.ComparisonOperator = ABOVE
    missing: cloudwatch.TreatMissingData = MISSING_IS_FINE
    symptom: bool = False

    @property
    def description(self) -> str:
        """The alarm's text: what it means, what to do first, where to read on."""
        return describe(self.name, self.means, self.first)


def describe(name: str, means: str, first: str) -> str:
    """An alarm's text, in the form that all of them have."""
    return f"{means} First: {first} Runbook: {RUNBOOK}#{name}"


def conditions(deployment: DeploymentMetrics) -> Iterator[Condition]:
    """All conditions of one deployment, causes before symptoms."""
    yield from _of_dead_letters(deployment)
    yield from _of_the_relay(deployment)
    yield from _of_the_destination(deployment)
    yield from _of_the_backlog(deployment)


def _of_dead_letters(deployment: DeploymentMetrics) -> Iterator[Condition]:
    yield Condition(
        name="dlq-not-empty",
        metric=deployment.dead_letters("ApproximateNumberOfMessagesVisible", "Maximum"),
        threshold=0,
        periods=1,
        means="Messages were given up; each carries its reason.",
        first="run `relay dlq stats` to see them grouped by reason.",
    )
    yield Condition(
        name="dlq-age",
        metric=deployment.dead_letters("ApproximateAgeOfOldestMessage", "Maximum", 5 * MINUTE),
        threshold=clocks.DLQ_RETENTION - DLQ_MARGIN,
        periods=1,
        means="Dead letters will soon be past the queue's retention and lost.",
        first="run `relay dlq pull` to save them, then decide.",
    )


def _of_the_relay(deployment: DeploymentMetrics) -> Iterator[Condition]:
    yield Condition(
        name="heartbeat-missing",
        metric=deployment.relay(metrics.HEARTBEAT, "Sum"),
        threshold=1,
        comparison=BELOW,
        missing=MISSING_IS_BAD,
        periods=3,
        means="No relay is running, or none can reach CloudWatch. Messages wait in the queue.",
        first="look at the environment's health and its last deployment.",
    )
    yield Condition(
        name="halted",
        metric=deployment.relay(metrics.HALTED, "Maximum"),
        threshold=1,
        comparison=AT_LEAST,
        periods=1,
        means="A misconfiguration keeps the relay from sending. Messages wait, none is lost.",
        first="read the last warning in the log: it names the setting.",
    )


def _of_the_destination(deployment: DeploymentMetrics) -> Iterator[Condition]:
    yield Condition(
        name="circuit-open",
        metric=formula(
            f"IF(state >= {metrics.CIRCUIT_STATES['half-open']}"
            f" AND state < {metrics.CIRCUIT_STATES['halted']}, 1, 0)",
            "Circuit not closed",
            MINUTE,
            state=deployment.relay(metrics.CIRCUIT_STATE, "Maximum"),
        ),
        threshold=1,
        comparison=AT_LEAST,
        periods=3,
        means="The orchestrator does not answer. Messages are held and wait, none is lost.",
        first="look at the orchestrator's status; the relay goes on by itself.",
    )
    yield Condition(
        name="reject-ratio",
        metric=formula(
            f"IF(rejected >= {REJECTED_LEAST}, rejected / (rejected + FILL(delivered, 0)), 0)",
            "Share of events rejected",
            5 * MINUTE,
            rejected=deployment.relay(metrics.REJECTED, "Sum", 5 * MINUTE),
            delivered=deployment.relay(metrics.DELIVERED, "Sum", 5 * MINUTE),
        ),
        threshold=REJECTED_SHARE,
        periods=1,
        means=f"More than {REJECTED_SHARE:.0%} of the events are refused for good.",
        first="run `relay dlq stats` and see which reason leads; a producer may have changed.",
    )


def _of_the_backlog(deployment: DeploymentMetrics) -> Iterator[Condition]:
    yield Condition(
        name="queue-age",
        metric=deployment.queue("ApproximateAgeOfOldestMessage", "Maximum"),
        threshold=metrics.SLO_SECONDS,
        periods=5,
        means=f"The oldest message has waited for more than {metrics.SLO_SECONDS:g} s.",
        first="see whether the backlog shrinks on the dashboard.",
        symptom=True,
    )
    yield Condition(
        name="slow-drain",
        metric=formula(
            "IF(deleted > 0, visible / (deleted / PERIOD(deleted)), 0)",
            "Seconds to drain",
            5 * MINUTE,
            visible=deployment.queue("ApproximateNumberOfMessagesVisible", "Average", 5 * MINUTE),
            deleted=deployment.queue("NumberOfMessagesDeleted", "Sum", 5 * MINUTE),
        ),
        threshold=DRAIN_LIMIT,
        periods=3,
        means=f"At this rate the backlog takes more than {DRAIN_LIMIT / 60:g} minutes to drain.",
        first="see whether the environment is at its most instances.",
        symptom=True,
    )
    yield Condition(
        name="stalled",
        metric=formula(
            "IF(visible > 0 AND FILL(delivered, 0) + FILL(given_up, 0) == 0, 1, 0)",
            "Nothing moves",
            STALLED_PERIOD,
            visible=deployment.queue(
                "ApproximateNumberOfMessagesVisible", "Minimum", STALLED_PERIOD
            ),
            delivered=deployment.relay(metrics.DELIVERED, "Sum", STALLED_PERIOD),
            given_up=deployment.relay(metrics.DEAD_LETTERED, "Sum", STALLED_PERIOD),
        ),
        threshold=1,
        comparison=AT_LEAST,
        periods=STALLED_PERIODS,
        means="Messages wait and nothing is delivered or given up.",
        first="see whether sqsd runs: `eb logs`, aws-sqsd/default.log.",
        symptom=True,
    )
    yield Condition(
        name="slo-burn-rate",
        metric=formula(
            "IF(late > 0, late / (late + FILL(intime, 0)), 0)",
            "Share of events late",
            60 * MINUTE,
            late=deployment.relay(metrics.DELIVERED_LATE, "Sum", 60 * MINUTE),
            intime=deployment.relay(metrics.DELIVERED_IN_SLO, "Sum", 60 * MINUTE),
        ),
        threshold=round(BURN_RATE * (1 - metrics.SLO_SHARE), 6),
        periods=1,
        means=f"So many events are late that {metrics.SLO_SHARE:.1%} in time is out of reach.",
        first="see on the dashboard when EndToEndAge rose, and what else changed then.",
        symptom=True,
    )
