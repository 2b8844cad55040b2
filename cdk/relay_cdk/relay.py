"""The construct: queues, ledger, secrets, log group, policies, worker environment and alarms."""

from __future__ import annotations

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from relay_cdk import roles
from relay_cdk.alarms import Alarms
from relay_cdk.checks import check
from relay_cdk.dashboard import dashboard
from relay_cdk.deployment_metrics import DeploymentMetrics
from relay_cdk.encryption import customer_key
from relay_cdk.existing import Existing
from relay_cdk.needs import (
    EVENT_KEY,
    SIGNING_KEY,
    needs_of,
    parameter_arn,
    secret_arn,
    secret_names,
)
from relay_cdk.options import Options
from relay_cdk.permissions import Resources, arn
from relay_cdk.queues import Queues
from relay_cdk.storage import audit_log, empty_secret, ledger_table
from relay_cdk.worker import Worker


class Relay(Construct):
    """A relay with all that it needs, in any stack.

    Queues, ledger, key, secrets, audit log, application and its versions survive the deletion of
    the stack. Names are derived from `options.name`: an account and region can have each only once.

    Raises:
        BadOption: the options do not fit together.
    """

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options | None = None,
        *,
        existing: Existing | None = None,
    ) -> None:
        super().__init__(scope, ident)
        self.options = options = options or Options()
        given = existing or Existing()
        check(options, existing_queues=given.queue is not None)
        self.needs = needs_of(options.settings)
        self.key = given.key or customer_key(self, options)
        self.queues = Queues(self, "Queues", options, self.key, given)
        self.ledger = given.ledger or ledger_table(self, self.key)
        self.new_secrets: list[secretsmanager.CfnSecret] = []
        """The secrets to which somebody has to give a value."""
        self.secrets = dict(self._secrets(given))
        """The ARN of each secret, by the relay's variable."""
        self.log_group = self._log_group(given)
        resources = self._resources()
        self.relay_policy = roles.relay_policy(self, resources)
        self.producer_policy = roles.producer_policy(self, resources)
        self.operator_policy = roles.operator_policy(self, resources)
        self.worker = self._worker(given) if options.worker == "elasticbeanstalk" else None
        metrics = DeploymentMetrics(
            service=options.name, queue=self.queues.name, dead_letter_queue=self.queues.dead_name
        )
        self.alarms = Alarms(self, "Alarms", options, metrics, topic=given.topic, key=self.key)
        self.dashboard = dashboard(self, options.name, metrics, self.alarms)

    def variables(self) -> dict[str, str]:
        """The environment variables with which a relay uses these resources."""
        return dict(self._variables())

    def grant_send(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let a producer publish."""
        return self.queues.main.grant_send_messages(grantee)

    def _variables(self) -> Iterator[tuple[str, str]]:
        # Elastic Beanstalk does not set the region for its processes.
        yield "AWS_DEFAULT_REGION", cdk.Stack.of(self).region
        yield "RELAY_SERVICE", self.options.name
        yield "RELAY_QUEUE_URL", self.queues.main.queue_url
        yield "RELAY_DLQ_URL", self.queues.dead.queue_url
        if self.options.ledger:
            yield "RELAY_LEDGER_TABLE", self.ledger.table_name
        if self.options.inngest_url:
            yield "RELAY_INNGEST_URL", self.options.inngest_url
        yield from {**self.options.settings, **self.secrets}.items()

    def _secrets(self, given: Existing) -> Iterator[tuple[str, str]]:
        for name in self.needs.new_secrets:
            yield name, self._secret(name, None)
        named = self.options.settings
        if self.needs.inngest and EVENT_KEY not in named:
            yield EVENT_KEY, self._secret(EVENT_KEY, given.event_key)
        # Events are read back from a self-hosted server only, which requires the signing key.
        if (self.options.inngest_url or given.signing_key) and SIGNING_KEY not in named:
            yield SIGNING_KEY, self._secret(SIGNING_KEY, given.signing_key)

    def _secret(self, name: str, given: secretsmanager.ISecret | None) -> str:
        if given:
            arn: str = given.secret_full_arn or given.secret_arn
            return arn
        ident, description = secret_names(name)
        made = empty_secret(self, ident, description, self.key)
        self.new_secrets.append(made)
        ref: str = made.ref
        return ref

    def _log_group(self, given: Existing) -> str:
        if given.log_group:
            name: str = given.log_group.log_group_name
            return name
        audit_log(self, self.options.log_group)
        return self.options.log_group

    def _worker(self, given: Existing) -> Worker:
        return Worker(
            self,
            "Worker",
            self.options,
            queues=self.queues,
            network=given.network(self.options),
            variables={**self.variables(), "AUDIT_LOG_GROUP": self.log_group},
            relay_policy=self.relay_policy,
        )

    def _resources(self) -> Resources:
        # Without the `:*` at the end of the log group's own attribute.
        group = cdk.Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=self.log_group,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return Resources(
            queue=self.queues.main.queue_arn,
            dead_letter_queue=self.queues.dead.queue_arn,
            ledger=self.ledger.table_arn,
            secrets=[
                *self.secrets.values(),
                *(secret_arn(s, arn("secretsmanager", "secret:")) for s in self.needs.secrets),
            ],
            log_group=group,
            key=self.key,
            parameters=[parameter_arn(p, arn("ssm", "parameter/")) for p in self.needs.parameters],
            payload_buckets=self.needs.payload_buckets,
            dead_letter_bucket=self.needs.dead_letter_bucket,
            state_machine=self.needs.state_machine,
        )
