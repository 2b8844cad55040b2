"""The stack: everything from queues to alarms."""

from __future__ import annotations

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from relay_cdk import roles
from relay_cdk.alarms import Alarms
from relay_cdk.dashboard import dashboard
from relay_cdk.encryption import customer_key
from relay_cdk.options import Options
from relay_cdk.permissions import Resources
from relay_cdk.queues import Queues
from relay_cdk.worker import Worker

AUDIT_RETENTION = logs.RetentionDays.THREE_MONTHS
LEDGER_KEY = "key"
LEDGER_EXPIRY = "expires"


class RelayStack(cdk.Stack):
    """Queues, ledger, secrets, log group, policies, worker environment, alarms and dashboard.

    Retained on deletion: queues, ledger, key, secrets, audit log, application and its versions.
    """

    def __init__(self, scope: Construct, ident: str, options: Options) -> None:
        # Without the check of the bootstrap version: it is a parameter that only the CDK's own
        # command line handles.
        synthesizer = cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
        super().__init__(
            scope,
            ident,
            synthesizer=synthesizer,
            description="Relay: a durable SQS buffer in front of an event orchestrator",
            # Against accidental deletion of the queues.
            termination_protection=True,
        )
        self.options = options
        self.key = customer_key(self, options)
        self.queues = Queues(self, "Queues", options, self.key)
        self.ledger = ledger_table(self, self.key)
        self.event_key = empty_secret(self, "EventKey", "The orchestrator's event key", self.key)
        # Events are read back from a self-hosted server only, which requires the signing key.
        self.signing_key = (
            empty_secret(self, "SigningKey", "The orchestrator's signing key", self.key)
            if options.inngest_url
            else None
        )
        self.audit = self._audit_log()
        self.policies = self._managed_policies()
        self.worker = self._worker()
        alarms = Alarms(self, "Alarms", options, self.key)
        board = dashboard(self, options, alarms)
        self._output("AlarmTopic", alarms.topic.topic_arn, "alarms are sent here; subscribe to it")
        self._output("DashboardName", board.dashboard_name, "the dashboard in CloudWatch")

    def variables(self) -> dict[str, str]:
        """The environment variables with which a relay uses this stack."""
        return dict(self._variables())

    def _variables(self) -> Iterator[tuple[str, str]]:
        # Elastic Beanstalk does not set the region for its processes.
        yield "AWS_DEFAULT_REGION", self.region
        yield "RELAY_SERVICE", self.options.name
        yield "RELAY_QUEUE_URL", self.queues.main.queue_url
        yield "RELAY_DLQ_URL", self.queues.dead.queue_url
        if self.options.ledger:
            yield "RELAY_LEDGER_TABLE", self.ledger.table_name
        yield "RELAY_INNGEST_EVENT_KEY_SECRET", self.event_key.ref
        if self.options.inngest_url:
            yield "RELAY_INNGEST_URL", self.options.inngest_url
        if self.signing_key:
            yield "RELAY_INNGEST_SIGNING_KEY_SECRET", self.signing_key.ref
        yield from self.options.settings.items()

    def _audit_log(self) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            "AuditLog",
            log_group_name=self.options.log_group,
            retention=AUDIT_RETENTION,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )

    def _managed_policies(self) -> dict[str, cdk.aws_iam.ManagedPolicy]:
        resources = Resources(
            queue=self.queues.main.queue_arn,
            dead_letter_queue=self.queues.dead.queue_arn,
            ledger=self.ledger.table_arn,
            secrets=[s.ref for s in (self.event_key, self.signing_key) if s],
            log_group=self._log_group_arn(),
            key=self.key,
        )
        policies = {
            "RelayPolicy": roles.relay_policy(self, resources),
            "ProducerPolicy": roles.producer_policy(self, resources),
            "OperatorPolicy": roles.operator_policy(self, resources),
        }
        self._output("QueueUrl", self.queues.main.queue_url, "where producers send")
        self._output("QueueArn", self.queues.main.queue_arn, "the ARN, for rules and topics")
        self._output("DeadLetterQueueUrl", self.queues.dead.queue_url, "where rejected messages go")
        self._output("LedgerTable", self.ledger.table_name, "RELAY_LEDGER_TABLE")
        self._output("EventKeySecret", self.event_key.ref, "put the event key in here")
        if self.signing_key:
            self._output("SigningKeySecret", self.signing_key.ref, "put the signing key in here")
        for name, policy in policies.items():
            self._output(name + "Arn", policy.managed_policy_arn, "attach it to a role")
        return policies

    def _worker(self) -> Worker | None:
        if self.options.worker == "none":
            return None
        worker = Worker(
            self,
            "Worker",
            self.options,
            queue_arn=self.queues.main.queue_arn,
            queue_url=self.queues.main.queue_url,
            variables={**self.variables(), "AUDIT_LOG_GROUP": self.options.log_group},
            relay_policy=self.policies["RelayPolicy"],
        )
        self._output("EnvironmentName", worker.environment.ref, "for `eb` and the console")
        return worker

    def _log_group_arn(self) -> str:
        # Without the `:*` at the end of the log group's own attribute.
        arn: str = self.format_arn(
            service="logs",
            resource="log-group",
            resource_name=self.options.log_group,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return arn

    def _output(self, name: str, value: str, description: str) -> None:
        cdk.CfnOutput(self, name, value=value, description=description)


def ledger_table(scope: Construct, key: kms.IKey | None) -> dynamodb.Table:
    """The ledger's table, billed by use; items expire, the table outlives the stack."""
    customer = dynamodb.TableEncryption.CUSTOMER_MANAGED
    return dynamodb.Table(
        scope,
        "Ledger",
        partition_key=dynamodb.Attribute(name=LEDGER_KEY, type=dynamodb.AttributeType.STRING),
        time_to_live_attribute=LEDGER_EXPIRY,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        encryption=customer if key else dynamodb.TableEncryption.DEFAULT,
        encryption_key=key,
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )


def empty_secret(
    scope: Construct, ident: str, description: str, key: kms.IKey | None
) -> secretsmanager.CfnSecret:
    """A secret for one of the orchestrator's keys, without a value until an operator sets it.

    The L2 construct would generate a random value, which looks set but is refused by the
    orchestrator. Without a value the relay starts halted and says what is missing.
    """
    secret = secretsmanager.CfnSecret(
        scope, ident, description=description, kms_key_id=key.key_arn if key else None
    )
    secret.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    return secret
