"""Step Functions on moto, which deduplicates names and has no size limits and no throttling."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types

from relay.local.orchestrators import Server
from tests.destinations.conformance.setups import Setup, forward_to, setup_behind

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/states"
WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 9_999, "End": True}}}
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}


def client(url: str) -> Any:
    return boto3.client(
        "stepfunctions",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def machine(url: str, name: str, kind: str = "STANDARD") -> str:
    made = client(url).create_state_machine(
        name=name, definition=json.dumps(WAITING), roleArn=ROLE, type=kind
    )
    return str(made["stateMachineArn"])


@asynccontextmanager
async def step_functions(url: str, name: str, monkeypatch: Any) -> AsyncIterator[Setup]:
    arn = machine(url, name)

    def started() -> int:
        return len(client(url).list_executions(stateMachineArn=arn)["executions"])

    async with Server(forward_to(url)) as server:
        variables = {
            "RELAY_STEP_FUNCTIONS_ARN": arn,
            "AWS_ENDPOINT_URL_SFN": server.url,
            **KEYS,
        }
        async with setup_behind("step-functions", server, started, variables, monkeypatch) as setup:
            yield setup
