"""The construct: queues, ledger, secrets, log group, policies, a host, and alarms."""

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
from relay_cdk.fargate import Fargate
from relay_cdk.gateway import GatewayHost
from relay_cdk.gateway_needs import relay_settings
from relay_cdk.lambda_function import Function
from relay_cdk.needs import (
    EVENT_KEY,
    SIGNING_KEY,
    needs_of,
    parameter_arn,
    secret_arn,
    secret_names,
)
from relay_cdk.network import Placement
from relay_cdk.options import Options
from relay_cdk.permissions import Resources, arn
from relay_cdk.queues import Queues
from relay_cdk.storage import audit_log, empty_secret, ledger_table
from relay_cdk.worker import Worker
from relay_cdk.workload import Workload


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
        check(
            options,
            existing_queues=given.queue is not None,
            existing_vpc=given.vpc is not None,
        )
        self.needs = needs_of(options.settings)
        self.key = given.key or customer_key(self, options)
        self.queues = Queues(self, "Queues", options, self.key, given)
        self.ledger = given.ledger or ledger_table(self, self.key)
        self.new_secrets: list[secretsmanager.CfnSecret] = []
        """The secrets to which somebody has to give a value."""
        self.secrets = dict(self._secrets(given))
        """The ARN of each secret, by the relay's variable."""
        self.log = given.log_group or audit_log(self, options.log_group)
        # The name itself, not a reference, so that it can be read in the template.
        self.log_group = given.log_group.log_group_name if given.log_group else options.log_group
        self.gateway = self._gateway() if options.gateway != "none" else None
        resources = self._resources()
        self.relay_policy = roles.relay_policy(self, resources)
        self.producer_policy = roles.producer_policy(self, resources)
        self.operator_policy = roles.operator_policy(self, resources)
        placement = given.placement(options)
        self.worker = self._worker(placement) if options.worker == "elasticbeanstalk" else None
        self.fargate = self._fargate(placement) if options.worker == "fargate" else None
        self.function = self._function(placement) if options.worker == "lambda" else None
        if self.gateway:
            self.gateway.run(placement, self.fargate.network if self.fargate else None)
        metrics = DeploymentMetrics(
            service=options.name, queue=self.queues.name, dead_letter_queue=self.queues.dead_name
        )
        self.alarms = Alarms(
            self,
            "Alarms",
            options,
            metrics,
            topic=given.topic,
            key=self.key,
            more=self.gateway.alarms() if self.gateway else (),
        )
        self.dashboard = dashboard(self, options, metrics, self.alarms)
        if self.gateway:
            self.dashboard.add_widgets(*self.gateway.widgets())

    def variables(self) -> dict[str, str]:
        """The environment variables with which a relay uses these resources."""
        return dict(self._variables())

    def grant_send(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let a producer publish."""
        return self.queues.main.grant_send_messages(grantee)

    def _variables(self) -> Iterator[tuple[str, str]]:
        # Elastic Beanstalk does not set the region for its processes. Lambda does, and refuses a
        # function that brings this variable.
        if self.options.worker != "lambda":
            yield "AWS_DEFAULT_REGION", cdk.Stack.of(self).region
        yield "RELAY_SERVICE", self.options.name
        yield "RELAY_QUEUE_URL", self.queues.main.queue_url
        yield "RELAY_DLQ_URL", self.queues.dead.queue_url
        if self.options.ledger:
            yield "RELAY_LEDGER_TABLE", self.ledger.table_name
        if self.options.inngest_url:
            yield "RELAY_INNGEST_URL", self.options.inngest_url
        yield from {**relay_settings(self.options.settings), **self.secrets}.items()

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

    def _worker(self, placement: Placement | None) -> Worker:
        return Worker(
            self,
            "Worker",
            self.options,
            queues=self.queues,
            network=placement.option_settings() if placement else {},
            variables={**self.variables(), "AUDIT_LOG_GROUP": self.log_group},
            relay_policy=self.relay_policy,
        )

    def _fargate(self, placement: Placement | None) -> Fargate:
        workload = self._workload(placement)
        return Fargate(
            self, "Fargate", self.options, queue_name=self.queues.name, workload=workload
        )

    def _function(self, placement: Placement | None) -> Function:
        queue, workload = self.queues.main.queue_arn, self._workload(placement)
        return Function(self, "Function", self.options, queue_arn=queue, workload=workload)

    def _gateway(self) -> GatewayHost:
        return GatewayHost(
            self,
            "Gateway",
            self.options,
            queues=self.queues,
            key=self.key,
            log=self.log,
            log_group_arn=self._log_group_arn(),
        )

    def _workload(self, placement: Placement | None) -> Workload:
        return Workload(
            variables=self.variables(),
            policy=self.relay_policy,
            log_group=self.log,
            log_group_arn=self._log_group_arn(),
            placement=placement,
            endpoints=self.needs.endpoints,
            stop=self.needs.stop,
        )

    def _log_group_arn(self) -> str:
        # Without the `:*` at the end of the log group's own attribute.
        arn: str = cdk.Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=self.log_group,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return arn

    def _resources(self) -> Resources:
        return Resources(
            queue=self.queues.main.queue_arn,
            dead_letter_queue=self.queues.dead.queue_arn,
            ledger=self.ledger.table_arn,
            secrets=[
                *self.secrets.values(),
                *(secret_arn(s, arn("secretsmanager", "secret:")) for s in self.needs.secrets),
            ],
            log_group=self._log_group_arn(),
            key=self.key,
            parameters=[parameter_arn(p, arn("ssm", "parameter/")) for p in self.needs.parameters],
            payload_buckets=self.needs.payload_buckets,
            dead_letter_bucket=self.needs.dead_letter_bucket,
            state_machine=self.needs.state_machine,
            uploads_log=self.options.host.needs_agent,
            key_store=self.gateway.key_store if self.gateway else None,
            puts_metrics=self.options.worker != "lambda" or self.needs.puts_metrics,
        )
