"""A bad value of each option: one sentence, exit 2, and nothing synthesized."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from relay_cdk.app import checked_app, synthesize
from relay_cdk.context import from_context
from relay_cdk.options import Options

KMS = "arn:aws:kms:us-east-1:111111111111"

BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "Orders"}, "name must be 4 to 40"),
    ({"name": "abc"}, "name must be 4 to 40"),
    ({"name": "orders-"}, "not ending with a hyphen"),
    ({"name": ["orders"]}, "name must be text"),
    ({"fifo": "yes"}, "fifo must be true or false"),
    ({"fifo": "true"}, "add worker=none and run `relay poll` elsewhere"),
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
    ({"worker": "lambda"}, "worker must be elasticbeanstalk or none"),
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
    ({"architecture": "arm"}, "architecture must be x86_64 or arm64"),
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
    assert {f.name for f in fields(Options)} <= {name for context, _ in BAD for name in context}


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
        {"settings": {"RELAY_DESTINATION": "bullmq", "RELAY_BULLMQ_QUEUE": "q"}, "worker": "none"},
        {"settings": {"RELAY_INNGEST_SIGNING_KEY_SECRET": "arn"}},
        {"settings": {"OTEL_SERVICE_NAME": "x", "TZ": "UTC"}},
    ],
)
def test_what_is_possible_is_accepted(context: dict[str, Any]) -> None:
    from_context(context)
