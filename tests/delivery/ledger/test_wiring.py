"""The relay with a ledger, built from settings, on local servers."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import get_args

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest

from relay.app.core import Core, open_core
from relay.app.ledger import ledger_scope
from relay.app.telemetry import Telemetry
from relay.aws.dynamodb import open_table
from relay.aws.session import Session, open_session
from relay.delivery.dead_letter_copy import DeadLetterCopy
from relay.delivery.ledger import LedgerEntries, TableAccess
from relay.delivery.ledger.table import KEY
from relay.destinations.inngest.event_api import Inngest
from relay.local.inngest import Fault, Function, InngestServer, Rule
from relay.local.orchestrators import APIS, Server
from relay.model.event import Event
from relay.model.facts import Fact, IdReused, LedgerChanged, LedgerFailed
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject
from relay.settings.destination_value_types import Destination
from relay.settings.model import Settings
from relay.telemetry.recorder import Recorder
from tests.delivery.ledger.scripted import HOUR, event
from tests.delivery.ledger.tables import new_table
from tests.telemetry.samples import log_lines, observe

REGION = "us-east-1"
TRIES = 20
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine"


@dataclass
class MemoryStore:
    """A dead-letter queue in memory."""

    copies: list[DeadLetterCopy] = field(default_factory=list)

    async def limit(self) -> int:
        return 1_048_576

    async def put(self, copy: DeadLetterCopy) -> None:
        self.copies.append(copy)


@pytest.fixture
def table(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto)
    return new_table(moto, REGION)


@pytest.fixture
async def server() -> AsyncIterator[InngestServer]:
    async with InngestServer(functions=[Function(name="index", on="*")]) as server:
        yield server


class Watched:
    """Telemetry that keeps and counts facts."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.recorder = Recorder()

    def observe(self, fact: Fact) -> None:
        self.facts.append(fact)
        observe(self.recorder, fact)

    def telemetry(self) -> Telemetry:
        return Telemetry(
            observe=self.observe, wrap=lambda end: end, add_metrics_route=lambda app: app
        )

    def take(self) -> list[Fact]:
        taken, self.facts = self.facts, []
        return taken


async def _handled(
    core: Core, watched: Watched, body: bytes, before: Callable[[], None] = lambda: None
) -> Outcome:
    """The outcome of a message for which no ledger step failed: a busy machine may be slow.

    `before` is called before each try.
    """
    for _ in range(TRIES):
        before()
        outcome = await core.handler.handle(
            Message(body=body, message_id=uuid.uuid4().hex, queue="events")
        )
        if not any(isinstance(fact, LedgerFailed) for fact in watched.take()):
            return outcome
        await asyncio.sleep(0.5)
    raise AssertionError("the ledger never answered")


async def test_what_an_earlier_relay_delivered_is_acknowledged_without_a_request(
    table: str, server: InngestServer
) -> None:
    settings, watched = Settings(inngest_url=server.url, ledger_table=table), Watched()
    body = b'{"id":"e","name":"a/b"}'
    async with open_core(settings, watched.telemetry(), MemoryStore()) as core:
        first = await _handled(core, watched, body)
        await core.stop(5)
    posts: list[int] = []
    async with open_core(settings, watched.telemetry(), MemoryStore()) as core:
        second = await _handled(
            core, watched, body, before=lambda: posts.append(server.acknowledged["e"])
        )
        await core.stop(5)
    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    assert (second.duplicate, second.reference) == (True, first.reference)
    assert server.acknowledged["e"] == posts[-1]


async def test_a_dead_letter_is_recorded_before_the_relay_stops(
    table: str, server: InngestServer, moto: str
) -> None:
    settings, watched, store = (
        Settings(inngest_url=server.url, ledger_table=table),
        Watched(),
        MemoryStore(),
    )
    fault = Fault(accept=0, status=400, error="event name is reserved")
    server.script.add(Rule(fault=fault, times=None))
    async with open_core(settings, watched.telemetry(), store) as core:
        outcome = await _handled(core, watched, b'{"id":"e","name":"a/b"}')
        await core.stop(5)
    assert isinstance(outcome, Reject)
    assert store.copies
    client = boto3.client("dynamodb", endpoint_url=moto, region_name=REGION)
    items = client.scan(TableName=table)["Items"]
    client.close()
    codes = [item["detail"]["S"] for item in items if "detail" in item]
    assert codes == ["refused_by_destination"]


@pytest.mark.parametrize("age", [22 * HOUR, 30 * HOUR])
async def test_how_long_an_unknown_end_is_sent_again_depends_on_its_destination(
    table: str, server: InngestServer, age: float
) -> None:
    argo = APIS["argo"]()
    async with Server(argo.respond) as other:
        settings = Settings(
            inngest_url=server.url,
            argo_url=other.url,
            argo_template="orders",
            routes=("order/*=argo", "user/*=inngest"),
            ledger_table=table,
        )
        names = ("order/placed", "user/left")
        await _began(settings, table, [Event(id="e", name=name) for name in names], age)
        watched = Watched()
        async with open_core(settings, watched.telemetry(), MemoryStore()) as core:
            bodies = [b'{"id":"e","name":"%b"}' % name.encode() for name in names]
            found = [await _handled(core, watched, body) for body in bodies]
            await core.stop(5)
    assert isinstance(found[0], Delivered)
    assert isinstance(found[1], Delivered if age < 23 * HOUR else Reject)
    assert len(argo.starts.started) == 1


async def test_what_an_earlier_relay_may_have_sent_is_looked_for_after_both_restarted(
    table: str, server: InngestServer
) -> None:
    settings, watched = Settings(inngest_url=server.url, ledger_table=table), Watched()
    sent = Event(id="e", name="a/b")
    await _began(settings, table, [sent], HOUR)
    async with Inngest(server.url, _event_key) as inngest:
        await inngest.send([sent])
    await server.settled()
    await server.kill()
    await server.restart()
    async with open_core(settings, watched.telemetry(), MemoryStore()) as core:
        outcome = await _handled(core, watched, b'{"id":"e","name":"a/b"}')
        await core.stop(5)
    assert isinstance(outcome, Delivered)
    assert (server.acknowledged["e"], len(server.runs)) == (1, 1)


async def _event_key() -> str:
    return "any"


async def _began(settings: Settings, name: str, events: list[Event], age: float) -> None:
    """Record attempts at these events with an unknown end, so many seconds ago."""
    async with open_session() as session:

        async def same() -> Session:
            return session

        async with open_table(same, name, key=KEY) as table:
            destination, environment = ledger_scope(settings)
            entries = LedgerEntries(
                table,
                TableAccess(patience=20.0),
                destination=destination,
                environment=environment,
                kept=27 * 24 * HOUR,
                clock=lambda: time.time() - age,
            )
            for event in events:
                assert await entries.record("sending", entries.subject(event))


async def test_without_a_table_there_is_no_ledger_and_no_fact_about_it(
    server: InngestServer,
) -> None:
    watched = Watched()
    async with open_core(
        Settings(inngest_url=server.url), watched.telemetry(), MemoryStore()
    ) as core:
        message = Message(body=b'{"name":"a/b"}', message_id="m", queue="q")
        assert isinstance(await core.handler.handle(message), Delivered)
        await core.stop(5)
    assert not any(isinstance(fact, LedgerFailed) for fact in watched.facts)


def test_failures_and_reused_ids_are_counted_and_logged() -> None:
    recorder = Recorder()
    facts: list[Fact] = [
        LedgerFailed(step="look-up", count=40, reason="away"),
        LedgerFailed(step="delivered", count=2, reason="away"),
        LedgerChanged(unavailable=True, reason="the table is throttled", seconds=1.0),
        LedgerChanged(unavailable=False, reason="", seconds=30.0),
        IdReused(event("e")),
    ]
    observe(recorder, *facts)
    counters = recorder.window.counters
    assert (counters["LedgerFailures", ""], counters["IdsReused", ""]) == (42, 1)
    unavailable, back, reused = log_lines(*facts)
    assert "the table is throttled" in unavailable["message"]
    assert "after 30 s" in back["message"]
    assert (reused["code"], reused["event_id"], reused["message_id"]) == ("id_reused", "e", "m")


ADDRESSES: dict[str, tuple[str, str, str]] = {
    "inngest": ("inngest_url", "http://127.0.0.1:1", "http://127.0.0.1:2"),
    "step-functions": ("step_functions_arn", f"{MACHINE}:one", f"{MACHINE}:other"),
    "temporal": ("temporal_namespace", "one", "other"),
    "prefect": ("prefect_api_url", "http://127.0.0.1:1", "http://127.0.0.1:2"),
    "argo": ("argo_template", "one", "other"),
    "webhook": ("webhook_url", "http://127.0.0.1:1", "http://127.0.0.1:2"),
    "bullmq": ("bullmq_queue", "one", "other"),
}
"""A setting of each destination that tells two of its kind apart, and two values of it."""


def test_every_destination_has_a_scope_of_its_own() -> None:
    scopes = [
        ledger_scope(Settings.model_validate({"destination": name, setting: value}))
        for name, (setting, *values) in ADDRESSES.items()
        for value in values
    ]
    assert set(ADDRESSES) == set(get_args(Destination))
    assert len(set(scopes)) == 2 * len(ADDRESSES)


def test_an_unknown_destination_has_no_scope() -> None:
    with pytest.raises(AssertionError, match="airplane"):
        ledger_scope(Settings.model_construct(destination="airplane", routes=()))


def test_two_scopes_share_a_table_and_no_entry() -> None:
    one = Settings(inngest_url="http://127.0.0.1:1")
    other = Settings(inngest_url="http://127.0.0.1:2")
    assert (
        len({ledger_scope(one), ledger_scope(other), ledger_scope(Settings(inngest_env="branch"))})
        == 3
    )
