"""Fuzz targets for the answers of AWS and of each destination, whoever sent them.

What reads an answer through an HTTP client of its own gets it from a server on loopback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast, get_args

from relay.aws.credentials import Credentials
from relay.aws.dynamodb import ItemTable
from relay.aws.errors import AwsError
from relay.aws.json_protocol import JsonClient
from relay.aws.session import Session
from relay.aws.sqs import Queue
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.delivery.ledger.table import Step, read_entry
from relay.destinations.argo import Argo
from relay.destinations.http_endpoint import HttpAnswer, HttpEndpoint
from relay.destinations.http_errors import retry_after
from relay.destinations.inngest.answers import Answer, interpret
from relay.destinations.inngest.read_back import PageTooLarge, ReadBack
from relay.destinations.prefect import Prefect
from relay.destinations.single_event import Starter
from relay.destinations.temporal import failed_call
from relay.destinations.webhook import Webhook
from relay.destinations.webhook_rules import PRESETS
from relay.http import Response
from relay.model.destination import BatchRefused, Unavailable
from relay.model.event import Event
from relay.model.outcome import Outcome
from tests.fuzz.input import Input
from tests.fuzz.loopback import LOOP, Loopback

STATUSES = (200, 201, 202, 204, 301, 400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503)
QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/orders"
NOW = 1_700_000_000.0


class _Session:
    """Fixed credentials, and clients whose endpoint is on loopback."""

    def __init__(self, endpoint: str = "") -> None:
        self._meta = SimpleNamespace(endpoint_url=endpoint, region_name="eu-west-1")

    async def credentials(self) -> Credentials:
        return cast("Credentials", SimpleNamespace(access_key="a", secret_key="b", token=None))

    async def locate(self, _service: str) -> tuple[str, str]:
        return self._meta.endpoint_url, self._meta.region_name

    async def client(self, _service: str) -> Any:
        return SimpleNamespace(meta=self._meta)

    def forget_credentials(self) -> None:
        """There is nothing to forget."""


class _Aws:
    """Answers every request with the same response."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def post(self, *_request: object, **_options: object) -> Response:
        return self._response


def sqs_answer(data: bytes) -> None:
    """An answer of SQS to each call."""
    given = Input(data)
    response = Response((200, 400, 403, 500)[given.number(4)], {}, given.raw())
    session = cast("Session", _Session())
    client = JsonClient(_Aws(response), session, QUEUE_URL, "eu-west-1")
    LOOP.run_until_complete(_use_queue(Queue(client, QUEUE_URL, "arn:aws:sqs:eu-west-1:1:orders")))


async def _use_queue(queue: Queue) -> None:
    with suppress(AwsError):
        attributes = await queue.attributes()
        assert all(math.isfinite(x) for x in (attributes.retention, attributes.visibility))
    with suppress(AwsError):
        for received in await queue.receive():
            assert received.message.message_id
            assert isinstance(received.handle, str)
    with suppress(AwsError):
        sent = await queue.send([Outgoing(body="a"), Outgoing(body="b")])
        assert [isinstance(one, Sent | Failed) for one in sent] == [True, True]
    with suppress(AwsError):
        assert len(await queue.delete(["a", "b"])) == 2
    with suppress(AwsError):
        assert len(await queue.change_visibility([("a", 0.0), ("b", 9.0)])) == 2


def ledger_answer(data: bytes) -> None:
    """An answer of DynamoDB to the ledger's calls, and the entries in it."""
    given = Input(data)
    LOOP.run_until_complete(_use_table(STATUSES[given.number(len(STATUSES))], given.raw()))


async def _use_table(status: int, body: bytes) -> None:
    async with Loopback(status, body) as url:
        session = cast("Session", _Session(url))

        async def opened() -> Session:
            return session

        table = ItemTable(opened, "ledger", "key")
        try:
            with suppress(AwsError):
                items, _ = await table.read(["a", "b"])
                for item in items:
                    for step in get_args(Step):
                        read_entry(step, item, NOW)
            with suppress(AwsError):
                await table.write([{"key": "a", "at": 1.0}], ["b"])
        finally:
            await table.aclose()


def inngest_answer(data: bytes) -> None:
    """An answer of Inngest's event API to one event or to several."""
    given = Input(data)
    status, count, after = STATUSES[given.number(len(STATUSES))], given.number(4) + 1, given.text()
    headers = {"retry-after": after} if after else {}
    answer = Answer(status, given.raw().decode(errors="replace"), headers)
    with suppress(Unavailable, BatchRefused):
        assert len(interpret(answer, count, NOW)) == count


def inngest_read_back(data: bytes) -> None:
    """An answer of Inngest's API for stored events."""
    given = Input(data)
    LOOP.run_until_complete(_read_back(STATUSES[given.number(len(STATUSES))], given.raw()))


async def _read_back(status: int, body: bytes) -> None:
    async def key() -> str:
        return "signkey-test-00"

    async with Loopback(status, body) as url, ReadBack(url, key, timeout=5.0) as reader:
        with suppress(Unavailable):
            assert isinstance(await reader.is_stored("01"), bool)
        with suppress(Unavailable, PageTooLarge):
            for stored in await reader.page(NOW):
                assert isinstance(stored.internal_id, str)


class _Endpoint:
    """Answers every request with the same answer."""

    def __init__(self, answer: HttpAnswer) -> None:
        self._answer = answer

    async def request(
        self, _method: str, _path: str, _headers: Mapping[str, str], _body: bytes = b""
    ) -> HttpAnswer:
        return self._answer

    def register_secret(self, secret: str) -> None:
        """Nothing is printed."""


async def _credential() -> str:
    return "Bearer secret"


_STARTERS: Sequence[Callable[[HttpEndpoint], Starter]] = (
    lambda endpoint: Prefect(endpoint, "flow/name", credential=_credential),
    lambda endpoint: Argo(endpoint, "default", "template", credential=_credential),
    *(lambda endpoint, preset=preset: Webhook(endpoint, preset) for preset in PRESETS.values()),
)


def destination_answer(data: bytes) -> None:
    """An answer of Prefect, Argo or a webhook."""
    given = Input(data)
    starter, status = _STARTERS[given.number(len(_STARTERS))], STATUSES[given.number(len(STATUSES))]
    after = retry_after(given.text(), NOW)
    answer = HttpAnswer(status, given.raw().decode(errors="replace"), after)
    LOOP.run_until_complete(_start(starter(cast("HttpEndpoint", _Endpoint(answer)))))


async def _start(starter: Starter) -> None:
    event = Event(id="a", name="order/paid", data=b"{}")
    with suppress(Unavailable):
        found: Outcome = await starter.start(event, starter.payload(event))
        assert found is not None


def temporal_error(data: bytes) -> None:
    """The status and message of a failed call to Temporal."""
    given = Input(data)
    statuses = ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_FOUND", "INTERNAL", "UNAVAILABLE")
    with suppress(Unavailable):
        failed_call(statuses[given.number(len(statuses))], given.text())


TARGETS = {
    function.__name__: function
    for function in (
        sqs_answer,
        ledger_answer,
        inngest_answer,
        inngest_read_back,
        destination_answer,
        temporal_error,
    )
}
