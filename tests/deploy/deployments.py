"""The deployments to test, synthesized in one process and one run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from relay_cdk import bundle, plain
from relay_cdk.acknowledgements import acknowledge
from relay_cdk.app import add_stack, checked_app
from relay_cdk.existing import Existing
from relay_cdk.options import Options
from relay_cdk.relay import Relay

HERE = "eu-west-1:123456789012"
OTHERS = "222222222222"
KEY_ID = "12345678-1234-1234-1234-123456789012"

MACHINE = f"arn:aws:states:{HERE}:stateMachine:orders"

DESTINATIONS: dict[str, dict[str, str]] = {
    "step-functions": {"RELAY_STEP_FUNCTIONS_ARN": f"{MACHINE}:live", "RELAY_METRICS": "otlp"},
    "temporal": {
        "RELAY_TEMPORAL_ADDRESS": "temporal.example.com:7233",
        "RELAY_TEMPORAL_WORKFLOW": "order",
        "RELAY_TEMPORAL_TASK_QUEUE": "orders",
        "RELAY_TEMPORAL_API_KEY_SECRET": "create",
        "RELAY_TRACES": "otlp",
    },
    "prefect": {
        "RELAY_PREFECT_API_URL": "https://prefect.example.com/api",
        "RELAY_PREFECT_DEPLOYMENT": "orders/production",
        "RELAY_PREFECT_API_KEY_SECRET": "shop/prefect#key",
    },
    "argo": {
        "RELAY_ARGO_URL": "https://argo.example.com",
        "RELAY_ARGO_TEMPLATE": "order",
        "RELAY_ARGO_TOKEN_SECRET": "ssm:/shop/argo",
    },
    "webhook": {"RELAY_WEBHOOK_URL_SECRET": f"arn:aws:secretsmanager:{HERE}:secret:w-a1b2c3"},
    "bullmq": {"RELAY_BULLMQ_URL_SECRET": "create", "RELAY_BULLMQ_QUEUE": "orders"},
}
"""The settings without which a relay to this destination starts halted, and keys that it uses."""


IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/relay:1.0"
VPC = "vpc-0a1b2c3d"
SUBNETS = ("subnet-0a1b2c3d", "subnet-1a1b2c3d")

COMPLETE = {
    "RELAY_ROUTES": "machine/*=step-functions,*=inngest",
    "RELAY_STEP_FUNCTIONS_ARN": MACHINE,
    "RELAY_PAYLOAD_BUCKETS": "shop-payloads",
    "RELAY_DEAD_LETTER_BUCKET": "shop-dead-letters",
    "RELAY_INNGEST_SIGNING_KEY_SECRET": "ssm:/shop/signing-key",
}
"""The settings that need a permission each."""


def tasks() -> dict[str, Options]:
    """Every variant on Fargate. No Docker is needed, because all name an image."""
    fargate = Options(worker="fargate", image=IMAGE)
    return {
        "fargate": replace(fargate, name="tasks"),
        "fargate-private": replace(
            fargate,
            name="tasks-private",
            fifo=True,
            key="create",
            architecture="arm64",
            public_addresses=False,
            inngest_url="http://inngest.corp:8288",
            settings={"RELAY_DRAIN_DEADLINE": "60"} | COMPLETE,
            image=f"arn:aws:ecr:eu-west-1:{OTHERS}:repository/relay@sha256:{'0a' * 32}",
        ),
        "fargate-vpc": replace(
            fargate,
            name="tasks-in-vpc",
            vpc=VPC,
            subnets=SUBNETS,
            public_addresses=False,
            min_instances=1,
            max_instances=1,
            backlog_per_task=500,
        ),
        # All that needs a permission.
        "fargate-complete": replace(
            fargate,
            name="store",
            key="create",
            inngest_url="https://inngest.example.com",
            settings=COMPLETE,
        ),
    }


CERTIFICATE = f"arn:aws:acm:{HERE}:certificate/{KEY_ID}"
WEBHOOK_SECRET = f"arn:aws:secretsmanager:{HERE}:secret:shop/stripe-a1b2c3"
GATEWAY = {
    "RELAY_GATEWAY_BUCKET": "shop-payloads",
    "RELAY_PAYLOAD_BUCKETS": "shop-payloads",
    "RELAY_WEBHOOKS": json.dumps(
        {"stripe": {"secrets": [WEBHOOK_SECRET]}, "github": {"secrets": ["ssm:/shop/github"]}}
    ),
}
"""The settings of the gateway that need a permission each."""


def gateways() -> dict[str, Options]:
    """Every variant of the gateway, each beside another host of the relay."""
    tasks = Options(worker="none", gateway="fargate", image=IMAGE, gateway_certificate=CERTIFICATE)
    return {
        "gateway-fargate": replace(tasks, name="front"),
        "gateway-complete": replace(tasks, name="gate", key="create", settings=GATEWAY),
        # In the network of the relay's tasks.
        "gateway-shared": replace(
            tasks,
            name="front-shared",
            worker="fargate",
            public_addresses=False,
            inngest_url="http://inngest.corp:8288",
            gateway_internal=True,
            gateway_certificate=None,
        ),
        "gateway-function": Options(
            name="front-url",
            worker="none",
            gateway="function-url",
            settings=GATEWAY | {"RELAY_METRICS": "cloudwatch"},
        ),
    }


def functions(zip_file: Path) -> dict[str, Options]:
    """Every variant on Lambda."""
    function = Options(worker="lambda", bundle=zip_file)
    return {
        "function": replace(function, name="function"),
        "function-fifo": replace(
            function,
            name="function-fifo",
            fifo=True,
            key="create",
            vpc=VPC,
            subnets=SUBNETS,
            python="3.14",
            architecture="x86_64",
            reserved_concurrency=40,
            settings=COMPLETE,
        ),
        # All that needs a permission.
        "function-complete": replace(
            function,
            name="depot",
            key="create",
            inngest_url="https://inngest.example.com",
            settings=COMPLETE,
        ),
        "function-fast": replace(
            function,
            name="function-fast",
            batch_size=100,
            batch_window=2,
            min_pollers=2,
            max_pollers=20,
            settings={"RELAY_METRICS": "cloudwatch"},
        ),
    }


def deployments(zip_file: Path) -> dict[str, Options]:
    """Every variant: the default, one that changes every option, and one change at a time."""
    worker = {
        "default": Options(),
        "customized": Options(
            name="orders",
            key="create",
            producers=(
                "events.amazonaws.com",
                f"arn:aws:iam::{OTHERS}:role/shop",
                OTHERS,
                f"arn:aws:sns:eu-west-1:{OTHERS}:orders",
                f"arn:aws:events:eu-west-1:{OTHERS}:event-bus/shop",
            ),
            vpc="vpc-1",
            subnets=("subnet-1", "subnet-2"),
            public_addresses=False,
            python="3.14",
            instance_type="t4g.small",
            architecture="arm64",
            inngest_url="https://inngest.example.com",
            mail="oncall@example.com",
            settings={"RELAY_LOG_LEVEL": "warning"},
            protect=True,
        ),
        "foreign-key": Options(
            name="foreign", key=f"arn:aws:kms:eu-west-1:{OTHERS}:key/mrk-{'0a' * 16}"
        ),
        "own-inngest": Options(name="hosted-here", inngest_url="http://10.0.0.5:8288"),
        "private": Options(name="private", vpc="vpc-1", subnets=("subnet-1",)),
        "plain": Options(name=plain.NAME),
        "no-ledger": Options(name="forgetful", ledger=False),
        "complete": Options(
            name="shop",
            key="create",
            inngest_url="https://inngest.example.com",
            settings=COMPLETE,
        ),
        "shell": Options(name="shell", session_manager=True),
    }
    # Each with a bundle of its own, which has the libraries of its destination.
    to = {
        f"to-{name}": Options(name=f"to-{name}", settings={"RELAY_DESTINATION": name, **needed})
        for name, needed in DESTINATIONS.items()
    }
    elsewhere = {
        "pull": Options(name="pulled", worker="none"),
        "fifo": Options(name="ordered", worker="none", fifo=True, key="create"),
    }
    bundled = {name: replace(o, bundle=zip_file) for name, o in worker.items()}
    return bundled | to | elsewhere | tasks() | functions(zip_file) | gateways()


def existing(scope: cdk.Stack) -> Existing:
    """All that a relay can use."""
    return Existing(
        queue=sqs.Queue.from_queue_arn(scope, "Queue", f"arn:aws:sqs:{HERE}:jobs"),
        dead_letter_queue=sqs.Queue.from_queue_arn(scope, "Dead", f"arn:aws:sqs:{HERE}:jobs-dead"),
        key=kms.Key.from_key_arn(scope, "Key", f"arn:aws:kms:{HERE}:key/{KEY_ID}"),
        log_group=logs.LogGroup.from_log_group_name(scope, "Logs", "/shop/audit"),
        event_key=secretsmanager.Secret.from_secret_complete_arn(
            scope, "Secret", f"arn:aws:secretsmanager:{HERE}:secret:shop/key-a1b2c3"
        ),
        topic=sns.Topic.from_topic_arn(scope, "Topic", f"arn:aws:sns:{HERE}:pager"),
        vpc=ec2.Vpc.from_vpc_attributes(
            scope,
            "Vpc",
            vpc_id="vpc-9",
            availability_zones=["eu-west-1a", "eu-west-1b"],
            private_subnet_ids=["subnet-8", "subnet-9"],
        ),
    )


def main(folder: Path) -> None:
    """Write the bundle and every template into the folder."""
    zip_file = folder / "relay.zip"
    bundle.write(zip_file)
    app = checked_app(folder / "out")
    stacks = {name: add_stack(app, o) for name, o in deployments(zip_file).items()}
    synthesizer = cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    host = cdk.Stack(app, "hosted", synthesizer=synthesizer)
    options = Options(name="hosted", bundle=zip_file)
    acknowledge(Relay(host, "Relay", options, existing=existing(host)))
    app.synth()
    files = {name: stack.template_file for name, stack in stacks.items()}
    for name, file in {**files, "hosted": host.template_file}.items():
        (folder / "out" / file).rename(folder / f"{name}.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
