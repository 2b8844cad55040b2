"""The gateway as a Lambda function: a real process that is frozen between two invocations."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.gateway.function_url import NotARequest, read_request, response
from relay.gateway.key_store import KeyStore, new_key, write_key_store
from relay.local.environment import CREDENTIALS, REGION
from relay.local.lambda_events import Answer, Function
from relay.local.sqs import SqsServer
from relay.local.sqs.faults import Fault

ROOT = Path(__file__).parents[2]
HANDLER = "relay.app.gateway_function.handler"
KEY = "k3y-of-web"
EVENT = {"name": "shop/order.created", "id": "order-1", "data": {"text": "ü"}}
SEND = "SendMessageBatch"


def request(body: Any, path: str = f"/e/{KEY}", method: str = "POST", **more: Any) -> Any:
    """What Lambda passes to a function for a request to its URL."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "content-length": str(len(text.encode()))},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "192.0.2.1"}},
        "body": text,
        "isBase64Encoded": False,
        **more,
    }


@dataclass
class Deployed:
    """A queue and the function."""

    sqs: SqsServer
    function: Function
    log: Path

    async def invoke(self, event: Any) -> tuple[int, Any]:
        """The status of the answer and its body."""
        found = await self.function.invoke(json.dumps(event).encode())
        assert isinstance(found, Answer), found
        answer = json.loads(found.body)
        assert answer["headers"]["content-type"] == "application/json"
        assert answer["isBase64Encoded"] is False
        return answer["statusCode"], json.loads(answer["body"])

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(one.body) for one in self.sqs.queues["orders"].messages()]


def deployed(
    directory: Path, *, timeout: float = 30.0, queue: bool = True, **settings: str
) -> AbstractAsyncContextManager[Deployed]:
    return deployed_with(directory, settings, timeout=timeout, queue=queue)


@asynccontextmanager
async def deployed_with(
    directory: Path, settings: dict[str, str], *, timeout: float = 30.0, queue: bool = True
) -> AsyncIterator[Deployed]:
    async with AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(SqsServer())
        if queue:
            sqs.account.create("orders", {}, {})
        variables = {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": sqs.url,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "RELAY_QUEUE_URL": "orders",
            "RELAY_GATEWAY_KEYS": f"web={KEY}",
            **settings,
        }
        function = Function(
            HANDLER,
            variables={name: text for name, text in variables.items() if text},
            output=directory / "log",
            timeout=timeout,
            freeze=True,
        )
        await stack.enter_async_context(function)
        yield Deployed(sqs, function, directory / "log")


async def test_it_answers_200_with_the_ids_of_what_is_in_the_queue(tmp_path: Path) -> None:
    async with deployed(tmp_path) as gateway:
        status, body = await gateway.invoke(request([EVENT]))
        assert (status, body) == (200, {"ids": ["order-1"], "status": 200})
        assert gateway.bodies[0]["data"] == {"text": "ü"}
        # A library that logs the paths of requests would have written it.
        assert KEY not in gateway.log.read_text()


async def test_its_counters_are_in_the_log_before_the_process_is_frozen(tmp_path: Path) -> None:
    async with deployed(tmp_path) as gateway:
        await gateway.invoke(request([EVENT, {"name": "shop/second"}]))
        lines = [json.loads(one) for one in gateway.log.read_text().splitlines() if one[:1] == "{"]
        (metrics,) = [one for one in lines if "_aws" in one]
        assert metrics["GatewayAccepted"] == 2


async def test_a_body_in_base64_is_the_same_events(tmp_path: Path) -> None:
    text = json.dumps([EVENT], ensure_ascii=False).encode()
    event = request(base64.b64encode(text).decode(), isBase64Encoded=True)
    event["headers"]["content-length"] = str(len(text))
    async with deployed(tmp_path) as gateway:
        assert (await gateway.invoke(event))[0] == 200
        assert gateway.bodies[0]["data"] == {"text": "ü"}


async def test_two_invocations_share_one_process_and_its_client(tmp_path: Path) -> None:
    async with deployed(tmp_path) as gateway:
        for _ in range(2):
            assert (await gateway.invoke(request([EVENT])))[0] == 200
        assert gateway.function.started == 1
        # The second knows the queue already.
        assert gateway.sqs.requests["GetQueueUrl"] == 1


async def test_without_a_confirmation_of_sqs_it_is_503_with_an_error(tmp_path: Path) -> None:
    async with deployed(tmp_path, RELAY_GATEWAY_TIMEOUT="0.3") as gateway:
        down = Fault(action=SEND, error="ServiceUnavailable", status=503, times=None)
        gateway.sqs.faults.add(down)
        status, body = await gateway.invoke(request([EVENT]))
        assert (status, body["status"]) == (503, 503)
        assert body["error"]
        assert gateway.bodies == []
        gateway.sqs.faults.clear()
        assert (await gateway.invoke(request([EVENT])))[0] == 200


async def test_it_answers_before_lambda_ends_the_invocation(tmp_path: Path) -> None:
    # SQS takes as long as the function may.
    async with deployed(tmp_path, timeout=4.0, RELAY_GATEWAY_TIMEOUT="60") as gateway:
        await gateway.invoke(request([EVENT]))
        gateway.sqs.faults.add(Fault(action=SEND, delay=60.0, times=None))
        status, body = await gateway.invoke(request([EVENT]))
        assert (status, body["code"]) == (503, "no_answer")


async def test_a_queue_that_is_missing_is_found_once_it_is_there(tmp_path: Path) -> None:
    async with deployed(tmp_path, queue=False) as gateway:
        status, body = await gateway.invoke(request([EVENT]))
        assert (status, body["code"]) == (503, "not_open")
        gateway.sqs.account.create("orders", {}, {})
        assert (await gateway.invoke(request([EVENT])))[0] == 200


@pytest.mark.parametrize(
    "wrong", [{"RELAY_GATEWAY_KEYS": ""}, {"RELAY_MAX_EVENTS": "many"}, {"RELAY_WEBHOOKS": "{}x"}]
)
async def test_wrong_settings_are_503_and_the_log_names_the_setting(
    wrong: dict[str, str], tmp_path: Path
) -> None:
    async with deployed_with(tmp_path, wrong) as gateway:
        status, body = await gateway.invoke(request([EVENT]))
        assert (status, body["code"]) == (503, "invalid_settings")
        assert next(iter(wrong)) in gateway.log.read_text()


async def test_keys_in_a_document_are_read_by_the_first_request(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, stored = new_key("web")
    path.write_text(write_key_store(KeyStore().with_new(stored)))
    settings = {"RELAY_GATEWAY_KEYS": "", "RELAY_GATEWAY_KEY_STORE": str(path)}
    async with deployed_with(tmp_path, settings) as gateway:
        assert (await gateway.invoke(request([EVENT], f"/e/{key}")))[0] == 200
        assert (await gateway.invoke(request([EVENT])))[0] == 401


async def test_what_is_no_request_is_an_error(tmp_path: Path) -> None:
    async with deployed(tmp_path) as gateway:
        status, body = await gateway.invoke({"Records": []})
        assert (status, body["code"]) == (400, "not_a_request")
        assert body["error"]
        status, body = await gateway.invoke(request("", path="/health", method="GET"))
        assert (status, body) == (200, {"status": "alive"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = ("rawPath", "rawQueryString", "headers", "requestContext", "body", "isBase64Encoded")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_reading_a_request_is_total(changes: dict[str, Any]) -> None:
    try:
        scope, body = read_request(request([EVENT]) | changes)
    except NotARequest:
        return
    assert isinstance(body, bytes)
    assert isinstance(scope["path"], str)


@given(st.binary())
def test_any_answer_can_be_read_back(body: bytes) -> None:
    made = response(200, {}, body)
    text = str(made["body"])
    assert (base64.b64decode(text) if made["isBase64Encoded"] else text.encode()) == body
