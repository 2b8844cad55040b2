"""Reading the ledger for dead letters: plans, `show`, and canaries through the queue."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from relay.app.dlq import LedgerTableReader
from relay.app.ledger import ledger_scope
from relay.aws.dynamodb import open_table
from relay.aws.errors import AwsError
from relay.aws.session import open_session
from relay.delivery.ledger import LedgerEntries, TableAccess
from relay.delivery.ledger.table import KEY
from relay.dlq.prediction import LedgerState
from relay.local.inngest import InngestServer
from relay.model.event import Event
from relay.settings.model import Settings
from tests.delivery.ledger.tables import new_table
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute

Item = Mapping[str, str | float]
SCOPE = ("inngest here", "")


class Table:
    """A table in memory that answers for some of the keys only, or fails."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.at_once = 100
        self.failures: list[AwsError] = []

    async def read(self, keys: Sequence[str]) -> tuple[list[Item], list[str]]:
        if self.failures:
            raise self.failures.pop()
        some, left = keys[: self.at_once], list(keys[self.at_once :])
        return [self.items[key] for key in some if key in self.items], left

    async def write(self, items: Sequence[Item], deletes: Sequence[str]) -> list[str]:
        self.items |= {str(item[KEY]): item for item in items}
        return []


def ledger_entries(table: Any, scope: tuple[str, str] = SCOPE) -> LedgerEntries:
    return LedgerEntries(
        table, TableAccess(patience=20.0), destination=scope[0], environment=scope[1], kept=1e6
    )


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_states_are_read_in_order() -> None:
    table = Table()
    events = [Event(id=f"e{i}", name="n") for i in range(150)]
    entries = ledger_entries(table)
    await entries.record("sending", entries.subject(events[3]))
    await entries.record("delivered", entries.subject(events[3]), "ref")
    await entries.record("dead-lettered", entries.subject(events[149]), "code")
    table.at_once = 40
    found = await LedgerTableReader(table, SCOPE, sleep=at_once).look_up(events)
    assert len(found) == 150
    known = {i for i, k in enumerate(found) if k and (k.sending_at or k.dead_lettered_at)}
    assert known == {3, 149}
    third = found[3]
    assert third is not None
    assert third.delivered_at is not None


async def test_a_transient_failure_is_retried_and_a_permanent_one_raised() -> None:
    table = Table()
    throttled = AwsError("ThrottlingException", "throttled", "slower")
    table.failures = [throttled, throttled]
    reader = LedgerTableReader(table, SCOPE, sleep=at_once)
    assert len(await reader.look_up([Event(id="e", name="n")])) == 1
    table.failures = [AwsError("AccessDenied", "denied", "not permitted")]
    with pytest.raises(AwsError, match="not permitted"):
        await reader.look_up([Event(id="e", name="n")])
    table.at_once = 0
    with pytest.raises(AwsError, match="throttled"):
        await reader.look_up([Event(id="e", name="n")])


@pytest.fixture
def dynamodb(
    moto: str, environ: dict[str, str], queues: LocalQueues, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A ledger's table on moto's server."""
    environ["AWS_ENDPOINT_URL_DYNAMODB"] = moto
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto)
    return new_table(moto, "us-east-1")


async def test_a_plan_uses_the_ledger(relay: Relay, queues: LocalQueues, dynamodb: str) -> None:
    for name in ("ran", "never"):
        await queues.send("dead", event(id=name, name=name), attributes=origin_attribute(name))
    async with open_session() as session:

        async def same() -> Any:
            return session

        async with open_table(same, dynamodb, key=KEY) as table:
            entries = ledger_entries(table, ledger_scope(Settings()))
            ran = Event(id="ran", name="ran", data=b'{"number":0}')
            assert await entries.record("delivered", entries.subject(ran), "ref")
    ended = await relay("dlq", "redrive", *QUICK, RELAY_LEDGER_TABLE=dynamodb)
    assert ended.code == 0, ended
    rows = {line.split()[0]: line for line in ended.out.splitlines() if "fails_alone" in line}
    assert "already_accepted" in rows["ran"]
    assert "runs" in rows["never"]
    shown = await relay("dlq", "show", "ran", *QUICK, RELAY_LEDGER_TABLE=dynamodb)
    assert "ledger entry of ran: delivered 20" in shown.out
    other = await relay("dlq", "show", "never", *QUICK, RELAY_LEDGER_TABLE=dynamodb)
    assert "ledger entry of never: no entry" in other.out


@pytest.mark.parametrize("options", [("--direct",), ("--canary", "1")])
async def test_a_direct_redrive_and_a_direct_canary_record_what_they_delivered(
    relay: Relay, queues: LocalQueues, dynamodb: str, options: tuple[str, ...]
) -> None:
    await queues.send("dead", event(id="one"), attributes=origin_attribute("one"))
    async with InngestServer() as inngest:
        settings = {"RELAY_INNGEST_URL": inngest.url, "RELAY_LEDGER_TABLE": dynamodb}
        ended = await relay("dlq", "redrive", *options, "--yes", *QUICK, **settings)
        assert ended.code == 0, ended
        assert list(inngest.acknowledged) == ["one"]
    assert queues.visible("dead") == 0
    sent = Event(id="one", name="shop/order", data=b'{"number":0}')
    scope = ledger_scope(Settings(inngest_url=inngest.url))
    (state,) = await _read(dynamodb, scope, [sent])
    assert state is not None
    assert state.delivered_at is not None


async def _read(
    name: str, scope: tuple[str, str], events: Sequence[Event]
) -> Sequence[LedgerState | None]:
    async with open_session() as session:

        async def same() -> Any:
            return session

        async with open_table(same, name, key=KEY) as table:
            return await LedgerTableReader(table, scope).look_up(events)


async def test_a_canary_through_the_queue_waits_for_the_ledger(
    relay: Relay, queues: LocalQueues, dynamodb: str
) -> None:
    for name in ("one", "two"):
        await queues.send("dead", event(id=name), attributes=origin_attribute(name))
    async with open_session() as session:

        async def same() -> Any:
            return session

        async with open_table(same, dynamodb, key=KEY) as table:
            entries = ledger_entries(table, ledger_scope(Settings()))
            for name in ("one", "two"):
                sent = Event(id=name, name="shop/order", data=b'{"number":0}')
                await entries.record("delivered", entries.subject(sent), "ref")
    words = ("dlq", "redrive", "--canary", "1", "--canary-through-queue", "--yes", *QUICK)
    ended = await relay(*words, RELAY_LEDGER_TABLE=dynamodb)
    assert ended.code == 0, ended
    assert len(queues.bodies("main")) == 2


async def test_a_canary_through_the_queue_without_an_outcome_stops_the_rest(
    relay: Relay, queues: LocalQueues, dynamodb: str
) -> None:
    for name in ("one", "two"):
        await queues.send("dead", event(id=name), attributes=origin_attribute(name))
    words = ("--canary", "1", "--canary-through-queue", "--canary-deadline", "1", "--yes")
    ended = await relay("dlq", "redrive", *words, *QUICK, RELAY_LEDGER_TABLE=dynamodb)
    assert ended.code == 4
    assert "no outcome after 1 s" in ended.err
    assert (len(queues.bodies("main")), queues.visible("dead")) == (1, 1)
