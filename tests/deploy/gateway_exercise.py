"""Runs `relay gateway` with the variables of its task on a recording AWS, and all it can do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from relay.local.processes import RelayProcess, free_port
from tests.deploy.aws_calls import Call
from tests.deploy.exercise import OPERATOR, TASK, Exercise, exercise
from tests.deploy.simulated_aws import Aws

LARGE = {"name": "shop/export", "data": {"text": "x" * 1_100_000}}
SMALL = {"name": "shop/order", "data": {"n": 1}}


async def record_gateway(
    aws: Aws, outputs: dict[str, str], directory: Path
) -> dict[str, set[Call]]:
    """Make a key as an operator and send with it; returns the calls of each identity."""
    host = await asyncio.to_thread(aws.task_variables)
    store = outputs["GatewayKeyStore"]
    async with exercise(aws, outputs, directory, "gate", host) as run:
        new = ("gateway", "key", "new", "web", "--store", store)
        key = (await run.run(OPERATOR, *new)).split()[0]
        await run.run(OPERATOR, "gateway", "key", "list", "--store", store)
        await _send(run, key)
        return dict(run.recorder.calls)


async def _send(run: Exercise, key: str) -> None:
    port = free_port()
    variables = run.variables(TASK) | {"PORT": str(port)}
    output = run.directory / "gateway.log"
    async with (
        RelayProcess("gateway", settings=variables, output=output, port=port) as relay,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30.0
        ) as http,
    ):
        await run.recorder.until(lambda: run.recorder.called(TASK, "sqs:GetQueueAttributes"))
        for event in (SMALL, LARGE):
            answer = await http.post(f"/e/{key}", json=[event])
            assert answer.status_code == 200, (answer.text, relay.output())
        for source, header in (("stripe", "stripe-signature"), ("github", "x-hub-signature-256")):
            wrong = {header: "t=1,v1=00" if source == "stripe" else "sha256=00"}
            answer = await http.post(f"/webhooks/{source}", json=SMALL, headers=wrong)
            # The simulated AWS does not have the secrets; what counts is that they are looked up.
            assert answer.json()["code"] == "secret_unusable", answer.text
