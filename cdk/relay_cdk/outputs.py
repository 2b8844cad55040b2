"""The outputs of a stack: what producers, operators and a relay elsewhere need."""

from __future__ import annotations

from collections.abc import Iterator

import aws_cdk as cdk

from relay_cdk.relay import Relay


def outputs(relay: Relay) -> dict[str, tuple[str, str]]:
    """Value and description by name."""
    return {name: (value, description) for name, value, description in _outputs(relay)}


def _outputs(relay: Relay) -> Iterator[tuple[str, str, str]]:
    yield "QueueUrl", relay.queues.main.queue_url, "where producers send"
    yield "QueueArn", relay.queues.main.queue_arn, "the ARN, for rules and topics"
    yield "DeadLetterQueueUrl", relay.queues.dead.queue_url, "where rejected messages go"
    yield "LedgerTable", relay.ledger.table_name, "RELAY_LEDGER_TABLE"
    for secret in relay.new_secrets:
        yield f"{secret.node.id}Secret", secret.ref, f"give it a value: {secret.description}"
    for name, policy in (
        ("RelayPolicyArn", relay.relay_policy),
        ("ProducerPolicyArn", relay.producer_policy),
        ("OperatorPolicyArn", relay.operator_policy),
    ):
        yield name, policy.managed_policy_arn, "attach it to a role"
    stack = cdk.Stack.of(relay)
    for name, policy, who in (
        ("ProducerPolicy", relay.producer_policy, "a producer's"),
        ("OperatorPolicy", relay.operator_policy, "an operator's"),
    ):
        yield name, stack.to_json_string(policy.document), f"for {who} role in another account"
    if relay.worker:
        yield "EnvironmentName", relay.worker.environment.ref, "for `eb` and the console"
    elif relay.fargate:
        yield "ClusterName", relay.fargate.cluster.ref, "the cluster of the service"
        yield "ServiceName", relay.fargate.service.attr_name, "the service of `relay poll`"
    elif relay.function:
        yield "FunctionName", relay.function.function.ref, "the function"
    else:
        # Not beside another host: one queue is for one of them.
        lines = (f"{name}={value}" for name, value in relay.variables().items())
        yield "RelayVariables", "\n".join(lines), "the variables of `relay poll`, as an env file"
    if relay.gateway:
        yield "GatewayUrl", relay.gateway.url, "INNGEST_EVENT_API_BASE_URL of the SDKs"
        yield "GatewayPolicyArn", relay.gateway.policy.managed_policy_arn, "what the gateway may"
        if relay.gateway.key_store:
            yield "GatewayKeyStore", relay.gateway.key_store, "relay gateway key new --store"
    yield "AlarmTopic", relay.alarms.topic.topic_arn, "alarms are sent here; subscribe to it"
    yield "DashboardName", relay.dashboard.dashboard_name, "the dashboard in CloudWatch"
