"""The relay as a Lambda function: real processes, run by the runtime that Lambda itself uses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types

from relay.local.environment import CREDENTIALS, HANDLER, REGION
from relay.local.inngest import Function, InngestServer
from relay.local.lambda_events import Answer, FunctionError
from relay.local.lambda_events import Function as LambdaFunction
from relay.local.lambda_events.event import event
from relay.local.lambda_events.function import OWN_RUNTIME
from relay.local.lambda_events.queue import SqsQueue
from relay.local.sqs import SqsServer

ROOT = Path(__file__).parents[2]
KEY = "a-very-secret-event-key"
ORDER = {"id": "order-1", "name": "shop/paid", "data": {}}
NAMELESS = {"id": "order-2", "data": {}}


@dataclass
class Deployment:
    """A queue, Inngest and the function. The event source is the test."""

    sqs: SqsServer
    inngest: InngestServer
    function: LambdaFunction
    queue: SqsQueue
    client: Any
    url: str
    log: Path

    async def send(self, *bodies: object) -> None:
        for body in bodies:
            await self.client.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    async def invoke(self) -> tuple[Sequence[Mapping[str, Any]], Answer | FunctionError]:
        """Receive a batch and invoke the function with it; deletes nothing."""
        messages = await self.queue.receive(10, 0)
        return messages, await self.function.invoke(event(messages, self.queue.arn))

    @property
    def accepted(self) -> set[str]:
        return {stored.id for stored in self.inngest.events}

    @property
    def text(self) -> str:
        return self.log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines of the log."""
        return [json.loads(one) for one in self.text.splitlines() if one[:1] == "{"]


@pytest.fixture(params=["own", "awslambdaric"])
def runtime(request: pytest.FixtureRequest) -> tuple[str, ...]:
    if request.param == "own":
        return OWN_RUNTIME
    if find_spec("awslambdaric") is None:
        pytest.skip("awslambdaric is not installed: there are files of it for Linux only")
    return ("-m", "awslambdaric")


@asynccontextmanager
async def deployed(
    directory: Path, runtime: Sequence[str] = OWN_RUNTIME, **settings: str
) -> AsyncIterator[Deployment]:
    async with AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(SqsServer())
        dead = sqs.account.create("dead", {}, {})
        policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1_000})
        main = sqs.account.create("relay", {"RedrivePolicy": policy, "VisibilityTimeout": "60"}, {})
        url = f"{sqs.url}/000000000000/{main.name}"
        inngest = await stack.enter_async_context(
            InngestServer(0, [Function(name="f", on="shop/paid")])
        )
        variables = {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": sqs.url,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "RELAY_INNGEST_URL": inngest.url,
            "RELAY_INNGEST_EVENT_KEY": KEY,
            **settings,
        }
        function = LambdaFunction(
            HANDLER,
            variables={name: text for name, text in variables.items() if text},
            output=directory / "log",
            timeout=30.0,
            runtime=runtime,
            freeze=True,
        )
        await stack.enter_async_context(function)
        queue = SqsQueue(url, endpoint_url=sqs.url, region=REGION)
        await stack.enter_async_context(queue)
        client = AioSession().create_client(
            "sqs",
            endpoint_url=sqs.url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        yield Deployment(
            sqs,
            inngest,
            function,
            queue,
            await stack.enter_async_context(client),
            url,
            directory / "log",
        )


def failures(found: Answer | FunctionError) -> list[str]:
    assert isinstance(found, Answer), found
    return [one["itemIdentifier"] for one in json.loads(found.body)["batchItemFailures"]]


async def test_a_batch_is_delivered_and_its_log_is_written_before_the_answer(
    runtime: tuple[str, ...], tmp_path: Path
) -> None:
    async with deployed(tmp_path, runtime) as relay:
        await relay.send(ORDER, NAMELESS)
        _, found = await relay.invoke()
        # The process is frozen now: what it had not written yet would be missing.
        lines = relay.lines()
        assert failures(found) == []
        assert relay.accepted == {"order-1"}
        assert len(relay.sqs.queues["dead"].messages()) == 1
        outcomes = [one["outcome"] for one in lines if "outcome" in one]
        assert sorted(outcomes) == ["delivered", "rejected"]
        (metrics,) = [one for one in lines if "_aws" in one]
        (directive,) = metrics["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["service", "queue"]]
        assert (metrics["service"], metrics["queue"]) == ("relay", "relay")
        assert (metrics["Delivered"], metrics["Rejected"]) == (1, 1)


async def test_lambdas_own_log_handler_writes_nothing_of_the_relay(tmp_path: Path) -> None:
    pytest.importorskip("awslambdaric")
    async with deployed(tmp_path, ("-m", "awslambdaric")) as relay:
        await relay.inngest.down()
        await relay.send(ORDER)
        await relay.invoke()
        assert any("circuit" in one for one in relay.lines())
        assert KEY not in relay.text
        plain = [one for one in relay.text.splitlines() if one.startswith(("[WARNING]", "[INFO]"))]
        assert plain == []


async def test_the_next_batch_uses_the_same_process_after_its_connections_were_closed(
    runtime: tuple[str, ...], tmp_path: Path
) -> None:
    async with deployed(tmp_path, runtime) as relay:
        await relay.send(ORDER)
        assert failures((await relay.invoke())[1]) == []
        # While the process is frozen it cannot notice that the server closes the connection.
        await relay.inngest.down()
        await relay.inngest.up()
        await relay.send({**ORDER, "id": "order-7"})
        messages, found = await relay.invoke()
        assert messages
        assert failures(found) == []
        assert relay.accepted == {"order-1", "order-7"}
        assert relay.function.started == 1


async def test_an_outage_fails_the_invocation_at_once_and_hides_messages_for_seconds(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path) as relay:
        await relay.inngest.down()
        await relay.send(ORDER)
        (message,), found = await relay.invoke()
        assert isinstance(found, FunctionError)
        assert found.kind == "InvocationFailed"
        assert found.message.startswith("unavailable: ")
        assert relay.sqs.requests["ChangeMessageVisibilityBatch"] == 1
        await relay.inngest.up()
        again = await relay.queue.receive(10, 20)  # visible after 2 to 3 s, not after 60
        assert again[0]["MessageId"] == message["MessageId"]
        await relay.function.invoke(event(again, relay.queue.arn))
        assert relay.accepted <= {"order-1"}


async def test_bad_settings_fail_every_invocation_and_name_the_setting(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path, RELAY_BATCH_EVENTS="many") as relay:
        await relay.send(ORDER)
        _, found = await relay.invoke()
        assert isinstance(found, FunctionError)
        assert found.message.startswith("invalid_settings: RELAY_BATCH_EVENTS must be")
        assert len(relay.sqs.queues["relay"].messages()) == 1
        assert not relay.sqs.queues["dead"].messages()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"RELAY_LAMBDA_TIMEOUT": "60"}, "RELAY_LAMBDA_TIMEOUT is 60 s"),
        ({"RELAY_LAMBDA_VISIBILITY_TIMEOUT": "900"}, "six times the function's timeout, 1080"),
        ({"RELAY_MAX_RECEIVE_COUNT": "1000", "RELAY_DESTINATION": "argo"}, "RELAY_ARGO_URL"),
        ({"HTTPS_PROXY": "nonsense://"}, "HTTPS_PROXY"),
    ],
)
async def test_settings_that_do_not_fit_are_refused(
    settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    async with deployed(tmp_path, **settings) as relay:
        await relay.send(ORDER)
        _, found = await relay.invoke()
        assert isinstance(found, FunctionError)
        assert found.message.startswith("invalid_settings: ")
        assert sentence in found.message


async def test_an_event_of_another_queue_is_refused(tmp_path: Path) -> None:
    async with deployed(tmp_path) as relay:
        await relay.send(ORDER)
        messages, found = await relay.invoke()
        assert failures(found) == []
        other = relay.queue.arn.replace("relay", "other")
        refused = await relay.function.invoke(event(messages, other))
        assert isinstance(refused, FunctionError)
        assert refused.message.startswith("another_queue: ")


async def test_a_process_killed_in_the_middle_of_an_invocation_loses_nothing(
    runtime: tuple[str, ...], tmp_path: Path
) -> None:
    async with deployed(tmp_path, runtime) as relay:
        await relay.send(ORDER)
        invoking = asyncio.create_task(relay.invoke())
        await relay.inngest.until(lambda: bool(relay.accepted))
        await relay.function.kill()
        messages, found = await invoking
        assert isinstance(found, Answer | FunctionError)
        # Nobody deleted the message; the next process delivers it under the same id.
        repeated = await relay.function.invoke(event(messages, relay.queue.arn))
        assert failures(repeated) == []
        await relay.inngest.settled()
        assert [run.event_id for run in relay.inngest.runs] == ["order-1"]


async def test_without_a_queue_setting_the_dead_letter_queue_is_that_of_the_events_queue(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path) as relay:
        await relay.send(NAMELESS)
        _, found = await relay.invoke()
        assert failures(found) == []
        assert len(relay.sqs.queues["dead"].messages()) == 1
