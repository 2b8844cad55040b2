"""The gateway of a stack: its event keys, its policy, its variables and its host."""

from __future__ import annotations

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from relay.publishing.large_payloads import PREFIX
from relay.telemetry.metrics import (
    GATEWAY_ACCEPTED,
    GATEWAY_LATENCY,
    GATEWAY_REFUSED,
    GATEWAY_UNAVAILABLE,
)
from relay_cdk import permissions, roles
from relay_cdk.alarm_definitions import AlarmDefinition
from relay_cdk.dashboard import graph
from relay_cdk.deployment_metrics import DeploymentMetrics
from relay_cdk.gateway_alarms import gateway_alarms, gateway_host_alarms
from relay_cdk.gateway_function import GatewayFunction
from relay_cdk.gateway_needs import KEY_STORE, gateway_needs
from relay_cdk.gateway_service import GatewayService
from relay_cdk.needs import parameter_arn, secret_arn
from relay_cdk.network import Network, Placement
from relay_cdk.options import Options
from relay_cdk.permissions import GatewayResources, arn
from relay_cdk.queues import Queues
from relay_cdk.storage import empty_secret
from relay_cdk.workload import Workload


class GatewayHost(Construct):
    """The gateway on the host that the options name."""

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        *,
        queues: Queues,
        key: kms.IKey | None,
        log: logs.ILogGroup,
        log_group_arn: str,
    ) -> None:
        super().__init__(scope, ident)
        self._options = options
        self.needs = gateway_needs(options.settings)
        self.queues = queues
        self.new_secret = self._new_key_store(key)
        self.policy = roles.policy(
            self,
            "Policy",
            "What the gateway needs: it sends to the relay's queue and reads nothing from it",
            permissions.gateway_statements(self._resources(key)),
        )
        self._log, self._log_group_arn = log, log_group_arn
        self.service: GatewayService | None = None
        self.function: GatewayFunction | None = None

    def run(self, placement: Placement | None, network: Network | None) -> None:
        """Create the host, in a network that exists or in the one that the relay's tasks have."""
        workload = self._workload(placement)
        if self._options.gateway == "fargate":
            self.service = GatewayService(
                self,
                "Service",
                self._options,
                workload=workload,
                network=network,
                timeout=self.needs.timeout,
            )
        else:
            self.function = GatewayFunction(
                self, "Function", self._options, workload=workload, extras=self.needs.extras
            )

    @property
    def url(self) -> str:
        """Its address, without a path."""
        if self.service:
            return self.service.url
        assert self.function  # noqa: S101 - one of them runs it
        # It ends in a slash, which some SDKs would double.
        return str(cdk.Fn.join("", ["https://", cdk.Fn.select(2, self._parts())]))

    def _parts(self) -> list[str]:
        assert self.function  # noqa: S101 - the only caller knows
        return list(cdk.Fn.split("/", self.function.url.attr_function_url))

    @property
    def metrics(self) -> DeploymentMetrics:
        """What the gateway reports."""
        return DeploymentMetrics(
            service=self._options.gateway_name,
            queue=self.queues.name,
            dead_letter_queue=self.queues.dead_name,
        )

    @property
    def key_store(self) -> str | None:
        """The ARN of the secret that the stack creates for the event keys."""
        return self.new_secret.ref if self.new_secret else None

    def alarms(self) -> Iterator[AlarmDefinition]:
        """Its alarms."""
        balancer = self.service.balancer.attr_load_balancer_full_name if self.service else None
        yield from gateway_alarms(self.metrics)
        yield from gateway_host_alarms(self.metrics, self._options.gateway, balancer)

    def widgets(self) -> list[cloudwatch.GraphWidget]:
        """Its row of the dashboard."""
        own = self.metrics
        return [
            graph(
                "Gateway: events accepted, requests refused, requests answered 503",
                *(own.relay(m, "Sum") for m in (GATEWAY_ACCEPTED, GATEWAY_REFUSED)),
                own.relay(GATEWAY_UNAVAILABLE, "Sum"),
            ),
            graph(
                "Gateway: time to an answer, s",
                *(own.relay(GATEWAY_LATENCY, stat) for stat in ("p50", "p99")),
            ),
            graph("Gateway: its host", *self._host_metrics()),
        ]

    def _host_metrics(self) -> Iterator[cloudwatch.Metric]:
        if self.service:
            yield self.metrics.tasks("CPUUtilization", "Maximum")
            name = self.service.balancer.attr_load_balancer_full_name
            yield self.metrics.balancer(name, "HTTPCode_ELB_5XX_Count", "Sum")
        elif self.function:
            for name in ("Invocations", "Errors", "Throttles"):
                yield self.metrics.function(name, "Sum")

    def variables(self) -> dict[str, str]:
        """The environment variables of `relay gateway`."""
        return dict(self._variables())

    def _variables(self) -> Iterator[tuple[str, str]]:
        if self._options.gateway != "function-url":  # Lambda sets it, and refuses it here.
            yield "AWS_DEFAULT_REGION", cdk.Stack.of(self).region
        yield "RELAY_SERVICE", self._options.gateway_name
        yield "RELAY_QUEUE_URL", self.queues.main.queue_url
        if self.new_secret:
            yield KEY_STORE, self.new_secret.ref
        yield from self.needs.settings.items()

    def _new_key_store(self, key: kms.IKey | None) -> secretsmanager.CfnSecret | None:
        if not self.needs.new_key_store:
            return None
        return empty_secret(self, "Keys", "The gateway's event keys: relay gateway key new", key)

    def _resources(self, key: kms.IKey | None) -> GatewayResources:
        secrets = [secret_arn(s, arn("secretsmanager", "secret:")) for s in self.needs.secrets]
        if self.new_secret:
            secrets.append(self.new_secret.ref)
        return GatewayResources(
            queue=self.queues.main.queue_arn,
            secrets=secrets,
            parameters=[parameter_arn(p, arn("ssm", "parameter/")) for p in self.needs.parameters],
            bucket=self.needs.bucket,
            prefix=PREFIX,
            key=key,
            puts_metrics=self._options.gateway != "function-url" or self.needs.puts_metrics,
        )

    def _workload(self, placement: Placement | None) -> Workload:
        return Workload(
            variables=self.variables(),
            policy=self.policy,
            log_group=self._log,
            log_group_arn=self._log_group_arn,
            # A function outside a VPC reaches all it needs, and is reached by its URL anyway.
            placement=placement if self._options.gateway != "function-url" else None,
            endpoints=self.needs.endpoints,
            stop=self.needs.stop,
        )
