"""The alarms of one deployment and the topic that they go to."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from cdk.alarm_definitions import Condition, conditions, describe
from cdk.deployment_metrics import DeploymentMetrics, whole
from cdk.encryption import CLOUDWATCH, own_account
from cdk.options import Options

EXPLANATION = "circuit-open"
"""The alarm that explains the symptoms and silences what gathers them."""

SUPPRESSION_WAIT = 120.0
SUPPRESSION_TAIL = 900.0
"""What an outage has piled up is given so long to drain before it is a problem of its own."""


class Alarms(Construct):
    """Every condition as an alarm. Causes notify; symptoms are gathered into one that does."""

    def __init__(
        self, scope: Construct, ident: str, options: Options, key: kms.IKey | None
    ) -> None:
        super().__init__(scope, ident)
        self.topic = self._topic(options, key)
        self._notify = actions.SnsAction(self.topic)
        self.alarms = self._alarms(options)
        self.behind = self._behind(options)

    def _topic(self, options: Options, key: kms.IKey | None) -> sns.Topic:
        topic = sns.Topic(self, "Topic", enforce_ssl=True, master_key=key)
        # Any policy on a topic replaces the one by which its account's alarms may publish.
        who = iam.ServicePrincipal(CLOUDWATCH)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[who],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=own_account(who),
            )
        )
        if options.mail:
            topic.add_subscription(subscriptions.EmailSubscription(options.mail))
        return topic

    def _alarms(self, options: Options) -> Mapping[str, cloudwatch.Alarm]:
        found = {
            c.name: (c, self._alarm(options, c)) for c in conditions(DeploymentMetrics(options))
        }
        for condition, alarm in found.values():
            if not condition.symptom:
                alarm.add_alarm_action(self._notify)
                alarm.add_ok_action(self._notify)
        self._symptoms = [alarm for condition, alarm in found.values() if condition.symptom]
        return {name: alarm for name, (_, alarm) in found.items()}

    def _alarm(self, options: Options, condition: Condition) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            "".join(word.capitalize() for word in condition.name.split("-")),
            alarm_name=f"{options.name}-{condition.name}",
            alarm_description=condition.description,
            metric=condition.metric,
            threshold=condition.threshold,
            comparison_operator=condition.comparison,
            evaluation_periods=condition.periods,
            treat_missing_data=condition.missing,
        )

    def _behind(self, options: Options) -> cloudwatch.CompositeAlarm:
        behind = cloudwatch.CompositeAlarm(
            self,
            "Behind",
            composite_alarm_name=f"{options.name}-behind",
            alarm_description=describe(
                "behind",
                "Events arrive late or not at all, and no outage of the orchestrator explains it.",
                "see which of the alarms it gathers is on.",
            ),
            alarm_rule=cloudwatch.AlarmRule.any_of(
                *(
                    cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)
                    for alarm in self._symptoms
                )
            ),
            actions_suppressor=self.alarms[EXPLANATION],
            actions_suppressor_wait_period=whole(SUPPRESSION_WAIT),
            actions_suppressor_extension_period=whole(SUPPRESSION_TAIL),
        )
        behind.add_alarm_action(self._notify)
        behind.add_ok_action(self._notify)
        return behind
