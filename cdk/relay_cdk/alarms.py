"""The alarms of one deployment, and the topic that they notify."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from relay_cdk.alarm_definitions import AlarmDefinition, alarm_definitions, describe
from relay_cdk.deployment_metrics import DeploymentMetrics
from relay_cdk.encryption import CLOUDWATCH, OWN_ACCOUNT
from relay_cdk.options import Options
from relay_cdk.queues import whole_seconds

SUPPRESSOR = "circuit-open"
"""The alarm that explains the symptoms and suppresses the combined alarm."""

SUPPRESSION_WAIT = 120.0
SUPPRESSION_EXTENSION = 900.0
"""Seconds for the backlog of an outage to drain before it counts as a problem of its own."""


class Alarms(Construct):
    """All alarms. Causes notify; symptoms are combined in the alarm `behind`, which notifies."""

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        metrics: DeploymentMetrics,
        *,
        topic: sns.ITopic | None,
        key: kms.IKey | None,
        more: Iterable[AlarmDefinition] = (),
    ) -> None:
        super().__init__(scope, ident)
        self.topic = topic or self._topic(key)
        if options.mail:
            self.topic.add_subscription(subscriptions.EmailSubscription(options.mail))
        self._notify = actions.SnsAction(self.topic)
        self._symptoms: list[cloudwatch.Alarm] = []
        self.alarms = self._alarms(options, [*alarm_definitions(metrics, options.host), *more])
        self.behind = self._behind(options)

    def _topic(self, key: kms.IKey | None) -> sns.Topic:
        topic = sns.Topic(self, "Topic", enforce_ssl=True, master_key=key)
        # A policy on the topic replaces the default one, which lets the account's alarms publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[iam.ServicePrincipal(CLOUDWATCH)],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=OWN_ACCOUNT,
            )
        )
        return topic

    def _alarms(
        self, options: Options, definitions: Iterable[AlarmDefinition]
    ) -> Mapping[str, cloudwatch.Alarm]:
        alarms: dict[str, cloudwatch.Alarm] = {}
        for definition in definitions:
            alarm = alarms[definition.name] = self._alarm(options, definition)
            if definition.symptom:
                self._symptoms.append(alarm)
            else:
                alarm.add_alarm_action(self._notify)
                alarm.add_ok_action(self._notify)
        return alarms

    def _alarm(self, options: Options, definition: AlarmDefinition) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            "".join(word.capitalize() for word in definition.name.split("-")),
            alarm_name=f"{options.name}-{definition.name}",
            alarm_description=definition.description,
            metric=definition.metric,
            threshold=definition.threshold,
            comparison_operator=definition.comparison,
            evaluation_periods=definition.periods,
            treat_missing_data=definition.missing_data,
        )

    def _behind(self, options: Options) -> cloudwatch.CompositeAlarm:
        behind = cloudwatch.CompositeAlarm(
            self,
            "Behind",
            composite_alarm_name=f"{options.name}-behind",
            alarm_description=describe(
                "behind",
                "Events arrive late or not at all, and no outage of the orchestrator explains it.",
                "check which of the alarms combined in it is on.",
            ),
            alarm_rule=cloudwatch.AlarmRule.any_of(
                *(
                    cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)
                    for alarm in self._symptoms
                )
            ),
            actions_suppressor=self.alarms[SUPPRESSOR],
            actions_suppressor_wait_period=whole_seconds(SUPPRESSION_WAIT),
            actions_suppressor_extension_period=whole_seconds(SUPPRESSION_EXTENSION),
        )
        behind.add_alarm_action(self._notify)
        behind.add_ok_action(self._notify)
        return behind
