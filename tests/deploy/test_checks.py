"""A bad value of each option: one sentence, exit 2, and nothing synthesized."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from relay_cdk.app import checked_app, synthesize
from relay_cdk.context import from_context
from relay_cdk.options import Options

ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
KMS = "arn:aws:kms:us-east-1:111111111111"

BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "Orders"}, "name must be 4 to 40"),
    ({"name": "abc"}, "name must be 4 to 40"),
    ({"name": "orders-"}, "not ending with a hyphen"),
    ({"name": ["orders"]}, "name must be text"),
    ({"fifo": "yes"}, "fifo must be true or false"),
    ({"fifo": "true"}, "worker=none and run `relay poll` elsewhere"),
    ({"key": "alias/mine"}, "key must be sqs, create or the ARN of a KMS key"),
    ({"key": f"{KMS}:alias/mine"}, "an alias does not do"),
    ({"key": f"{KMS}:key/k"}, "which ends with key/ and its id"),
    ({"key": f"{KMS}:key/mrk-{'0' * 32}"}, "key is in us-east-1, but the stack is in eu-west-1"),
    ({"producers": "shop"}, "producers: shop is not an account's 12 digits"),
    ({"producers": "arn:aws:iam::222222222222:role/*"}, "producers: arn:aws:iam"),
    (
        {"producers": "arn:aws:lambda:eu-west-1:222222222222:function:f"},
        "producers: arn:aws:lambda",
    ),
    ({"producers": "222222222222,222222222222"}, "producers names one twice"),
    ({"worker": "ecs"}, "worker must be elasticbeanstalk, fargate, lambda or none"),
    ({"worker": "fargate", "image": "relay:1.0"}, "image must be in ECR and have a tag or a dig"),
    ({"worker": "fargate", "image": f"{ECR}/relay"}, "and have a tag or a digest"),
    ({"worker": "fargate", "image": f"{ECR}/relay@sha256:12"}, "image must be in ECR"),
    ({"image": f"{ECR}/relay:1.0"}, "image is for worker=fargate, not for worker=elasticbeansta"),
    ({"worker": "fargate", "task_cpu": "100"}, "task_cpu must be one of 256, 512, 1024, 2048"),
    ({"worker": "fargate", "task_memory": "1536"}, "must be one of 512, 1024, 2048 with task_cpu"),
    ({"worker": "fargate", "task_cpu": "512"}, "task_memory must be one of 1024, 2048, 3072"),
    ({"worker": "fargate", "backlog_per_task": "0"}, "backlog_per_task must be at least 1"),
    ({"worker": "fargate", "min_instances": "0"}, "min_instances must be at least 1"),
    ({"worker": "fargate", "session_manager": "true"}, "session_manager is for the instances"),
    ({"worker": "fargate", "batch_size": "5"}, "batch_size is for worker=lambda"),
    ({"worker": "fargate", "public_addresses": "false"}, "inngest sends to inn.gs, which is there"),
    (
        {"worker": "fargate", "settings": {"RELAY_DRAIN_DEADLINE": "110"}},
        "RELAY_DRAIN_DEADLINE must be at most 107",
    ),
    ({"worker": "lambda", "function_memory": "64"}, "function_memory must be from 128 to 10240"),
    ({"worker": "lambda", "batch_size": "0"}, "batch_size must be from 1 to 10000"),
    ({"worker": "lambda", "batch_size": "11"}, "needs a batch_window of at least 1 second"),
    ({"worker": "lambda", "batch_window": "301"}, "batch_window must be from 0 to 300 seconds"),
    ({"worker": "lambda", "fifo": "true", "batch_window": "1"}, "with fifo, batch_size must be"),
    ({"worker": "lambda", "max_concurrency": "1"}, "max_concurrency must be from 2 to 1000"),
    ({"worker": "lambda", "min_pollers": "2"}, "max_pollers from 2 to 2000, both or neither"),
    ({"worker": "lambda", "max_pollers": "2001"}, "min_pollers must be from 2 to 200"),
    (
        {"worker": "lambda", "min_pollers": "9", "max_pollers": "8"},
        "min_pollers must be at most max_pollers",
    ),
    (
        {"worker": "lambda", "max_concurrency": "9", "max_pollers": "8", "min_pollers": "2"},
        "max_concurrency and max_pollers exclude each other",
    ),
    ({"worker": "lambda", "reserved_concurrency": "9"}, "must be at least max_concurrency"),
    ({"worker": "lambda", "settings": {"RELAY_METRICS": "prometheus"}}, "a function does not have"),
    (
        {"worker": "lambda", "settings": {"RELAY_LAMBDA_TIMEOUT": "60"}},
        "leave RELAY_LAMBDA_TIMEOUT",
    ),
    (
        {
            "worker": "lambda",
            "settings": {"RELAY_REQUEST_TIMEOUT": "100", "RELAY_HOLD": "600"},
        },
        "an attempt may take 190 s",
    ),
    ({"worker": "lambda", "settings": {"EXTRA": "x" * 3_000}}, "Lambda allows 4096"),
    ({"vpc": "vpc-1"}, "vpc needs subnets"),
    ({"subnets": "subnet-1"}, "subnets needs vpc"),
    ({"subnets": 5}, "subnets must be names separated by commas"),
    ({"vpc": "main", "subnets": "subnet-1"}, "vpc must be an id"),
    ({"vpc": "vpc-1", "subnets": "a"}, "subnets: a is not an id"),
    ({"public_addresses": False}, "public_addresses=false needs vpc"),
    ({"python": "3.12"}, "python must be 3.11, 3.13 or 3.14"),
    ({"platform": "Python 3.13"}, "platform must be a platform such as"),
    ({"python": "3.14", "platform": "x"}, "python and platform exclude each other"),
    ({"instance_type": "t4g.small"}, "is arm64, not x86_64: set architecture=arm64"),
    ({"instance_type": "m7i.large", "architecture": "arm64"}, "is x86_64, not arm64"),
    ({"instance_type": "small"}, "instance_type: small is not a type"),
    ({"architecture": "arm"}, "architecture must be auto, x86_64 or arm64"),
    ({"min_instances": "two"}, "min_instances must be a whole number"),
    ({"min_instances": True}, "min_instances must be a whole number"),
    ({"min_instances": "5"}, "min_instances must be at least 1 and at most max_instances"),
    ({"min_instances": "1", "max_instances": "1"}, "max_instances must be at least 2"),
    ({"max_instances": "1"}, "max_instances must be at least 2"),
    ({"ledger": "off"}, "ledger must be true or false"),
    ({"inngest_url": "inngest.example.com"}, "inngest_url must be an address"),
    ({"inngest_url": "https://me:secret@inngest.example.com"}, "inngest_url must be an address"),
    ({"session_manager": "yes"}, "session_manager must be true or false"),
    ({"mail": "oncall"}, "mail must be one address"),
    ({"mail": "a@example.com,b@example.com"}, "mail must be one address"),
    ({"settings": "RELAY_HOLD=60"}, "settings must be a JSON object"),
    ({"settings": "[]"}, "settings must be a JSON object"),
    ({"settings": {"RELAY_HOLD": [1]}}, "settings: RELAY_HOLD must be text"),
    ({"settings": {"RELAY_HOLD": "abc"}}, "settings: RELAY_HOLD must be a number"),
    ({"settings": {"RLAY_HOLD": "60"}}, "did you mean RELAY_HOLD?"),
    ({"settings": {"RELAY_HOLD": "900"}}, "lower RELAY_HOLD to 780"),
    ({"settings": {"TZ": "a\nb"}}, "TZ has more than one line"),
    ({"settings": {"MY-NAME": "x"}}, "MY-NAME is not a variable's name"),
    ({"settings": {"RELAY_QUEUE_URL": "https://x"}}, "leave RELAY_QUEUE_URL out"),
    ({"settings": {"RELAY_SERVICE": "mine"}}, "use the option name, which the alarms watch too"),
    ({"settings": {"RELAY_SQSD_RETENTION": "60"}}, "equal to what the stack configures"),
    ({"settings": {"RELAY_INNGEST_EVENT_KEY": "k"}}, "put the key into the stack's secret"),
    ({"settings": {"RELAY_WEBHOOK_SIGNING_KEY": "k"}}, "in plain text"),
    ({"settings": {"AWS_SECRET_ACCESS_KEY": "k"}}, "leave AWS_SECRET_ACCESS_KEY out: its role"),
    ({"settings": {"RELAY_DESTINATION": "temporal"}}, "RELAY_TEMPORAL_ADDRESS is not set"),
    ({"settings": {"EXTRA": "x" * 3_000}}, "Elastic Beanstalk allows 4096"),
    ({"protect": "maybe"}, "protect must be true or false"),
    ({"bundle": "missing.zip"}, "bundle: missing.zip does not exist"),
    ({"nmae": "orders"}, "nmae is not an option: did you mean name?"),
]


@pytest.mark.parametrize(("context", "sentence"), BAD)
def test_a_bad_value_gives_one_sentence_and_exit_2(
    context: dict[str, Any],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")
    assert synthesize(checked_app(tmp_path, context)) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert sentence in printed.err
    assert printed.out == ""
    assert not list(tmp_path.glob("*.template.json"))


def test_every_option_has_a_bad_value_above() -> None:
    # Those of the gateway are in test_gateway.py.
    others = {f.name for f in fields(Options) if not f.name.startswith("gateway")}
    assert others <= {name for context, _ in BAD for name in context}


@pytest.mark.parametrize(
    "context",
    [
        {"instance_type": "im4gn.large", "architecture": "arm64"},
        {"instance_type": "a1.large", "architecture": "arm64"},
        {"instance_type": "g5.xlarge"},
        {"instance_type": "u7i-12tb.224xlarge"},
        {"instance_type": "t3.small, t3a.small"},
        {"platform": "Python 3.14 running on 64bit Amazon Linux 2023/4.9.0"},
        {"fifo": True, "worker": "none"},
        {"fifo": True, "worker": "fargate"},
        {"fifo": True, "worker": "lambda"},
        {"worker": "fargate", "image": f"{ECR}/a/b-c@sha256:{'0a' * 32}"},
        {"worker": "fargate", "task_cpu": "1024", "task_memory": "3072"},
        {"worker": "fargate", "min_instances": 1, "max_instances": 1},
        {"worker": "fargate", "vpc": "vpc-1", "subnets": "subnet-1", "public_addresses": False},
        {"worker": "lambda", "batch_size": 1_000, "batch_window": 5},
        {"worker": "lambda", "max_concurrency": 2, "reserved_concurrency": 2},
        {"worker": "lambda", "min_pollers": 2, "max_pollers": 2},
        {"settings": {"RELAY_DESTINATION": "bullmq", "RELAY_BULLMQ_QUEUE": "q"}, "worker": "none"},
        {"settings": {"RELAY_INNGEST_SIGNING_KEY_SECRET": "arn"}},
        {"settings": {"OTEL_SERVICE_NAME": "x", "TZ": "UTC"}},
    ],
)
def test_what_is_possible_is_accepted(context: dict[str, Any]) -> None:
    from_context(context)
