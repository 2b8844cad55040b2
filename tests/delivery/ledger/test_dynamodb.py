"""The ledger's table on moto's server, over real sockets, with and without network faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from relay.aws.dynamodb import ItemTable, open_table
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.delivery.ledger import EventEntries, LedgerEntries, Subject, TableAccess
from relay.delivery.ledger.table import EXPIRES, KEY, Item
from relay.model.facts import Fact, LedgerChanged, LedgerFailed
from tests.aws.fixed_response import answering
from tests.delivery.ledger.faulty_wire import FaultyWire, in_front_of
from tests.delivery.ledger.tables import new_table

REGION = "us-east-1"
MAX_LOOK_UPS = 400
SUBJECT = Subject("hash", "digest")


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def wire(moto: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyWire]:
    async with in_front_of(int(moto.rpartition(":")[2])) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{wire.port}")
        yield wire


@pytest.fixture
def name(moto: str) -> str:
    return new_table(moto, REGION)


@pytest.fixture
async def stack(wire: FaultyWire) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def _table(stack: AsyncExitStack, name: str) -> ItemTable:
    return await stack.enter_async_context(open_table(SharedSession(stack), name, key=KEY))


async def _entries(
    stack: AsyncExitStack, name: str, facts: list[Fact], patience: float = 10
) -> LedgerEntries:
    table = await _table(stack, name)
    await table.read(["opens the client"])
    entries = LedgerEntries(
        table,
        TableAccess(observe=facts.append, patience=patience),
        destination="inngest",
        environment="",
        kept=1_000,
        observe=facts.append,
    )
    stack.push_async_callback(entries.aclose)
    return entries


async def test_items_come_back_as_they_were_put(
    wire: FaultyWire, name: str, stack: AsyncExitStack
) -> None:
    table = await _table(stack, name)
    items: list[Item] = [
        {KEY: f"k{i}", "at": 1_790_000_000.123456, EXPIRES: 1_790_001_000} for i in range(25)
    ]
    assert await table.write(items, []) == []
    found, left = await table.read([f"k{i}" for i in range(30)])
    assert sorted(found, key=lambda item: str(item[KEY])) == sorted(
        items, key=lambda item: str(item[KEY])
    )
    assert left == []
    assert await table.write([], ["k0", "k1"]) == []
    assert len((await table.read(["k0", "k1", "k2"]))[0]) == 1


async def test_a_missing_table_raises_an_error_that_names_it(
    wire: FaultyWire, stack: AsyncExitStack
) -> None:
    table = await _table(stack, "no-such-table")
    with pytest.raises(AwsError, match="no-such-table") as error:
        await table.read(["k"])
    assert error.value.kind == "missing"


async def test_entries_are_written_found_and_withdrawn(
    wire: FaultyWire, name: str, stack: AsyncExitStack
) -> None:
    facts: list[Fact] = []
    entries = await _entries(stack, name, facts)
    assert await entries.record("sending", SUBJECT)
    assert await entries.record("delivered", SUBJECT, "ref")
    known = await entries.look_up(SUBJECT)
    assert known is not None
    assert known.delivered is not None
    assert known.delivered.detail == "ref"
    assert known.sending is not None
    assert known.sending.subject == SUBJECT
    assert await entries.withdraw(SUBJECT)
    known = await entries.look_up(SUBJECT)
    assert known is not None
    assert known.sending is None
    assert facts == []


@pytest.mark.parametrize("mode", ["hang", "cut"])
async def test_an_unreachable_table_fails_in_time_and_is_used_again(
    mode: str, wire: FaultyWire, name: str, stack: AsyncExitStack
) -> None:
    facts: list[Fact] = []
    entries = await _entries(stack, name, facts, patience=0.3)
    wire.mode = "hang" if mode == "hang" else "cut"
    assert await entries.look_up(SUBJECT) is None
    assert not await entries.record("delivered", SUBJECT)
    assert [type(fact) for fact in facts] == [LedgerChanged, LedgerFailed, LedgerFailed]
    wire.mode = "pass"
    for _ in range(MAX_LOOK_UPS):
        if await entries.look_up(SUBJECT) == EventEntries():
            break
        await asyncio.sleep(0.05)
    assert [fact.unavailable for fact in facts if isinstance(fact, LedgerChanged)] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"Responses":[]}',
        b'{"Responses":{"t":[{"a":{"N":"x"}}]}}',
        b'{"Responses":{},"UnprocessedKeys":{"t":{}}}',
    ],
)
async def test_a_malformed_answer_is_an_error_and_not_an_empty_result(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(200, body) as url, AsyncExitStack() as stack:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        async with open_table(SharedSession(stack), "t", key=KEY) as table:
            with pytest.raises(AwsError) as caught:
                await table.read(["a"])
    assert caught.value.transient


async def test_a_malformed_answer_to_a_write_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = b'{"UnprocessedItems":{"t":[{"PutRequest":{}}]}}'
    async with answering(200, body) as url, AsyncExitStack() as stack:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        async with open_table(SharedSession(stack), "t", key=KEY) as table:
            with pytest.raises(AwsError) as caught:
                await table.write([], ["a"])
    assert caught.value.transient
