"""A healthy deployment on loopback (SQS, other AWS services, Inngest) for tests to break."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped] # ships no types
import httpx
import pytest
from botocore import session as sdk  # type: ignore[import-untyped] # ships no types
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from relay.app.doctor import check_destinations, run_checks
from relay.cli import application
from relay.http.server import serving
from relay.local.inngest import InngestServer
from relay.local.sqs import SqsServer
from relay.ops.doctor.result import CheckResult
from relay.settings import clocks
from relay.settings.loading import load

REGION = "us-east-1"
ARN = f"arn:aws:sqs:{REGION}:000000000000:"
EVENT_KEY = "event-key-5e1f"
SIGNING_KEY = "abcdef0123456789"

HEALTHY = {
    "VisibilityTimeout": f"{clocks.VISIBILITY_TIMEOUT:.0f}",
    "MessageRetentionPeriod": f"{clocks.QUEUE_RETENTION:.0f}",
}


@dataclass
class Deployment:
    """What `relay doctor` checks. Tests change `settings` and everything that they refer to."""

    sqs: SqsServer
    inngest: InngestServer
    root: Path
    settings: dict[str, str] = field(default_factory=dict)

    async def check(
        self, *, pull: bool = False, clock: Callable[[], float] = time.time, **settings: str
    ) -> dict[str, CheckResult]:
        """The results by check name; the worst if a check has several."""
        loaded = load({**self.settings, **settings})
        return _worst(await run_checks(loaded, pull=pull, root=self.root, clock=clock))

    async def check_destinations(self, **settings: str) -> dict[str, CheckResult]:
        """Only the results about the destinations."""
        return _worst(await check_destinations(load({**self.settings, **settings})))

    def set(self, queue: str, **attributes: str) -> None:
        """Change a queue's attributes, also to values that SQS would refuse."""
        self.sqs.queues[queue].attributes.values.update(attributes)
        for name, value in attributes.items():
            if not value:
                del self.sqs.queues[queue].attributes.values[name]

    def write(self, path: str, text: str) -> None:
        """Write a file on the instance."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def redrive(self, target: str, count: int = clocks.MAX_RECEIVE_COUNT) -> None:
        """Set the queue's redrive policy."""
        policy = {"deadLetterTargetArn": f"{ARN}{target}", "maxReceiveCount": count}
        self.set("relay", RedrivePolicy=json.dumps(policy))


def _worst(found: list[CheckResult]) -> dict[str, CheckResult]:
    order = ("ok", "not checked", "warn", "fail")
    found.sort(key=lambda result: order.index(result.status))
    return {result.check: result for result in found}


@dataclass(frozen=True)
class CommandResult:
    """A finished command: its exit code and output."""

    code: int
    out: str
    err: str


async def run(*arguments: str, stdin: str = "", **settings: str) -> CommandResult:
    """Run a command in a thread: a process would load the libraries for each test."""
    result = await asyncio.to_thread(
        CliRunner().invoke,
        application(arguments),
        list(arguments),
        input=stdin.encode(),
        env=settings,
        prog_name="relay",
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return CommandResult(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def models() -> Any:
    """botocore's service models, read once: reading them takes longer than most tests."""
    return sdk.create_loader()


@pytest.fixture
def aws(moto: str, models: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Creates boto3 clients for moto, and points the environment of the tests to it."""
    monkeypatch.setattr(sdk, "create_loader", lambda _path=None: models)
    for name in [name for name in os.environ if name.startswith(("AWS_", "RELAY_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": moto,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return lambda service: boto3.client(service, region_name=REGION)


def table(
    aws: Callable[[str], Any], name: str, *, key: str = "key", expires: str | None = "expires"
) -> str:
    """Create a table for the ledger, or one with a wrong schema."""
    dynamodb = aws("dynamodb")
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
    )
    if expires:
        dynamodb.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": expires},
        )
    return name


@pytest.fixture
async def deployment(
    aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Deployment]:
    """A healthy deployment."""
    server = InngestServer(mode="start", event_keys=[EVENT_KEY], signing_key=SIGNING_KEY)
    async with SqsServer(region=REGION) as sqs, server as inngest:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.url)
        retention = f"{clocks.DLQ_RETENTION:.0f}"
        sqs.account.create("relay-dead", {"MessageRetentionPeriod": retention}, {})
        sqs.account.create("relay", HEALTHY, {})
        found = Deployment(sqs, inngest, tmp_path)
        found.redrive("relay-dead")
        found.settings = {
            "RELAY_QUEUE_URL": f"{sqs.url}/000000000000/relay",
            "RELAY_INNGEST_URL": inngest.url,
            "RELAY_INNGEST_EVENT_KEY": EVENT_KEY,
            "RELAY_INNGEST_SIGNING_KEY": SIGNING_KEY,
        }
        yield found


@pytest.fixture
async def refusing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., None]]:
    """Makes an AWS service deny every call, or script some actions: None is AccessDenied."""
    scripted = dict[str, Any]()
    real = os.environ["AWS_ENDPOINT_URL"]

    async def answer(request: Request) -> JSONResponse:
        action = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if scripted and action not in scripted:
            return await _forward(request, real)
        body = scripted.get(action)
        if body is not None:
            return JSONResponse(body)
        return JSONResponse({"__type": "AccessDeniedException", "message": action}, 400)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    async with serving(app) as port:

        def refuse(service: str, **actions: Any) -> None:
            scripted.update(actions)
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{port}")

        yield refuse


async def _forward(request: Request, real: str) -> JSONResponse:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        headers = {k: v for k, v in request.headers.items() if k != "host"}
        body = await request.body()
        answer = await client.post(f"{real}{request.url.path}", content=body, headers=headers)
    return JSONResponse(answer.json(), answer.status_code)
