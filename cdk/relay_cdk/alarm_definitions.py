"""The alarms: the metric and threshold of each, what it means, and what to do first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch

from relay.settings import clocks
from relay.telemetry import metrics
from relay_cdk.deployment_metrics import MINUTE, DeploymentMetrics, math_expression
from relay_cdk.hosts import Host

RUNBOOK = "docs/runbook.md"

STALLED_PERIOD = 5 * MINUTE
STALLED_PERIODS = 3
"""Together longer than the longest hold, during which nothing is delivered either."""

DRAIN_LIMIT = 30 * MINUTE
REJECTED_SHARE = 0.05
MIN_REJECTED = 20
"""With fewer rejections in five minutes, their share is not significant."""

BURN_RATE = 14.4
"""An hour at this multiple of the allowed rate uses up a fiftieth of a month's error budget."""

DLQ_MARGIN = 4 * clocks.DAY
"""How long before the end of the dead-letter queue's retention the alarm goes off."""

PAUSED_HOURS = 4
"""A pause that lasts for so long may have been forgotten."""

MISSING_IS_OK = cloudwatch.TreatMissingData.NOT_BREACHING
MISSING_IS_BAD = cloudwatch.TreatMissingData.BREACHING
ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDefinition:
    """One alarm. `name` is also the name of its section in the runbook.

    A `symptom` sends no notification. All symptoms are combined in one alarm, which is suppressed
    while an open circuit explains them.
    """

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    periods: int
    meaning: str
    first_step: str
    comparison: cloudwatch.ComparisonOperator = ABOVE
    missing_data: cloudwatch.TreatMissingData = MISSING_IS_OK
    symptom: bool = False

    @property
    def description(self) -> str:
        """The alarm's text: what it means, what to do first, and its section in the runbook."""
        return describe(self.name, self.meaning, self.first_step)


def describe(name: str, meaning: str, first_step: str) -> str:
    """The text of an alarm."""
    return f"{meaning} First: {first_step} Runbook: {RUNBOOK}#{name}"


def alarm_definitions(deployment: DeploymentMetrics, host: Host) -> Iterator[AlarmDefinition]:
    """All alarms of one deployment on its host, causes before symptoms."""
    yield from _dead_letter_alarms(deployment)
    if host.always_runs:
        yield _heartbeat_alarm(deployment, host)
    yield from _relay_alarms(deployment)
    yield from _destination_alarms(deployment)
    yield from _backlog_alarms(deployment, host)
    if not host.always_runs:
        yield _errors_alarm(deployment)


def _dead_letter_alarms(deployment: DeploymentMetrics) -> Iterator[AlarmDefinition]:
    yield AlarmDefinition(
        name="dlq-not-empty",
        metric=deployment.dead_letters("ApproximateNumberOfMessagesVisible", "Maximum"),
        threshold=0,
        periods=1,
        meaning="Messages were dead-lettered, each with its reason.",
        first_step="run `relay dlq stats` to see them grouped by reason.",
    )
    yield AlarmDefinition(
        name="dlq-age",
        metric=deployment.dead_letters("ApproximateAgeOfOldestMessage", "Maximum", 5 * MINUTE),
        threshold=clocks.DLQ_RETENTION - DLQ_MARGIN,
        periods=1,
        meaning="Dead letters will soon exceed the queue's retention and be lost.",
        first_step="run `relay dlq pull` to save them, then decide.",
    )
    yield AlarmDefinition(
        name="dead-letter-too-large",
        metric=deployment.relay(metrics.DEAD_LETTERS_TOO_LARGE, "Sum", 60 * MINUTE),
        threshold=0,
        periods=1,
        meaning="A message is too large for the dead-letter queue and waits in the main queue.",
        first_step="set the dead-letter queue's MaximumMessageSize to 1048576.",
    )


def _heartbeat_alarm(deployment: DeploymentMetrics, host: Host) -> AlarmDefinition:
    return AlarmDefinition(
        name="heartbeat-missing",
        metric=deployment.relay(metrics.HEARTBEAT, "Sum"),
        threshold=1,
        comparison=BELOW,
        missing_data=MISSING_IS_BAD,
        periods=3,
        meaning="No relay is running, or none can reach CloudWatch. Messages wait in the queue.",
        first_step=host.deployed,
    )


def _errors_alarm(deployment: DeploymentMetrics) -> AlarmDefinition:
    """A function reports only while it is invoked, so its silence means nothing.

    It also fails, so that Lambda slows down, while the orchestrator is down: hence a symptom.
    """
    return AlarmDefinition(
        name="function-errors",
        metric=deployment.function("Errors", "Sum", 5 * MINUTE),
        threshold=0,
        periods=3,
        meaning="The function ends with errors or by its timeout. Messages return to the queue.",
        first_step="read the last error in the function's log.",
        symptom=True,
    )


def _relay_alarms(deployment: DeploymentMetrics) -> Iterator[AlarmDefinition]:
    yield AlarmDefinition(
        name="halted",
        metric=deployment.relay(metrics.HALTED, "Maximum"),
        threshold=1,
        comparison=AT_LEAST,
        periods=1,
        meaning="A misconfiguration keeps the relay from sending. Messages wait; none is lost.",
        first_step="read the last error in the log: it names the setting.",
    )
    yield AlarmDefinition(
        name="stuck",
        metric=deployment.relay(metrics.STUCK, "Maximum"),
        threshold=1,
        comparison=AT_LEAST,
        periods=1,
        meaning="Events are not delivered although the orchestrator answers. Messages wait.",
        first_step="read the last error in the log: it has the reason and the setting.",
    )
    yield AlarmDefinition(
        name="unheard",
        metric=deployment.relay(metrics.UNHEARD, "Maximum", 5 * MINUTE),
        threshold=1,
        comparison=AT_LEAST,
        periods=1,
        meaning="Events were accepted, and no function listens to their names: nothing ran.",
        first_step="run `relay audit --unheard`: it shows the nearest name that is heard.",
    )
    yield AlarmDefinition(
        name="paused",
        metric=deployment.relay(metrics.PAUSED, "Minimum", 60 * MINUTE),
        threshold=1,
        comparison=AT_LEAST,
        periods=PAUSED_HOURS,
        meaning=f"The queue has been paused for more than {PAUSED_HOURS} hours. Messages wait.",
        first_step="run `relay status` to see who paused it and why; `relay resume` ends it.",
    )


def _destination_alarms(deployment: DeploymentMetrics) -> Iterator[AlarmDefinition]:
    yield AlarmDefinition(
        name="circuit-open",
        metric=math_expression(
            f"IF(state >= {metrics.CIRCUIT_STATES['half-open']}"
            f" AND state < {metrics.CIRCUIT_STATES['halted']}, 1, 0)",
            "Circuit not closed",
            MINUTE,
            state=deployment.relay(metrics.CIRCUIT_STATE, "Maximum"),
        ),
        threshold=1,
        comparison=AT_LEAST,
        periods=3,
        meaning="The orchestrator is unavailable. Messages are held or wait; none is lost.",
        first_step="check the orchestrator's status; the relay resumes by itself.",
    )
    yield AlarmDefinition(
        name="reject-ratio",
        metric=math_expression(
            f"IF(rejected >= {MIN_REJECTED}, rejected / (rejected + FILL(delivered, 0)), 0)",
            "Share of events rejected",
            5 * MINUTE,
            rejected=deployment.relay(metrics.REJECTED, "Sum", 5 * MINUTE),
            delivered=deployment.relay(metrics.DELIVERED, "Sum", 5 * MINUTE),
        ),
        threshold=REJECTED_SHARE,
        periods=1,
        meaning=f"More than {REJECTED_SHARE:.0%} of the events are rejected.",
        first_step="run `relay dlq stats` for the main reason; a producer may have changed.",
    )


def _backlog_alarms(deployment: DeploymentMetrics, host: Host) -> Iterator[AlarmDefinition]:
    yield AlarmDefinition(
        name="queue-age",
        metric=deployment.of_queue("ApproximateAgeOfOldestMessage", "Maximum"),
        threshold=metrics.SLO_SECONDS,
        periods=5,
        meaning=f"The oldest message has waited for more than {metrics.SLO_SECONDS:g} s.",
        first_step="check on the dashboard whether the backlog shrinks.",
        symptom=True,
    )
    yield AlarmDefinition(
        name="slow-drain",
        metric=math_expression(
            "IF(deleted > 0, visible / (deleted / PERIOD(deleted)), 0)",
            "Seconds to drain",
            5 * MINUTE,
            visible=deployment.of_queue(
                "ApproximateNumberOfMessagesVisible", "Average", 5 * MINUTE
            ),
            deleted=deployment.of_queue("NumberOfMessagesDeleted", "Sum", 5 * MINUTE),
        ),
        threshold=DRAIN_LIMIT,
        periods=3,
        meaning=f"At this rate the backlog takes more than {DRAIN_LIMIT / 60:g} minutes to drain.",
        first_step=host.capacity,
        symptom=True,
    )
    yield AlarmDefinition(
        name="stalled",
        metric=math_expression(
            "IF(visible > 0 AND FILL(delivered, 0) + FILL(dead_lettered, 0) == 0, 1, 0)",
            "Stalled",
            STALLED_PERIOD,
            visible=deployment.of_queue(
                "ApproximateNumberOfMessagesVisible", "Minimum", STALLED_PERIOD
            ),
            delivered=deployment.relay(metrics.DELIVERED, "Sum", STALLED_PERIOD),
            dead_lettered=deployment.relay(metrics.DEAD_LETTERED, "Sum", STALLED_PERIOD),
        ),
        threshold=1,
        comparison=AT_LEAST,
        periods=STALLED_PERIODS,
        meaning="Messages wait, but none is delivered or dead-lettered.",
        first_step=host.running,
        symptom=True,
    )
    yield AlarmDefinition(
        name="slo-burn-rate",
        metric=math_expression(
            "IF(late > 0, late / (late + FILL(intime, 0)), 0)",
            "Share of events late",
            60 * MINUTE,
            late=deployment.relay(metrics.DELIVERED_LATE, "Sum", 60 * MINUTE),
            intime=deployment.relay(metrics.DELIVERED_IN_SLO, "Sum", 60 * MINUTE),
        ),
        threshold=round(BURN_RATE * (1 - metrics.SLO_SHARE), 6),
        periods=1,
        meaning=f"So many events are late that {metrics.SLO_SHARE:.1%} in time cannot be reached.",
        first_step="check on the dashboard when EndToEndAge rose, and what else changed then.",
        symptom=True,
    )
