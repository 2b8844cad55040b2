"""A change of the rule for ids is noticed by the next relay that starts on the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest

from relay.app.core import open_core
from relay.app.telemetry import Telemetry
from relay.aws.errors import AwsError
from relay.delivery.ledger.id_rule import REFRESH_EVERY, RETRY_EVERY, IdRule, IdRuleRecord
from relay.delivery.ledger.table import EXPIRES, KEY
from relay.model.facts import Received
from relay.model.message import Message
from relay.settings.model import Settings
from tests.delivery.ledger.tables import new_table
from tests.sources.poller.rig import until

REGION = "ap-south-1"
"""Used by this file only: moto's state outlives its servers."""

NOW = 1_767_225_600.0
DAY = 86_400.0
OLD = IdRule(path="orderId")
NEW = IdRule(attribute="order-id")


class MemoryTable:
    """The items of a table, with failures on request."""

    def __init__(self) -> None:
        self.items: dict[str, Mapping[str, str | float]] = {}
        self.failures = 0

    async def read(self, keys: Sequence[str]) -> tuple[list[Mapping[str, str | float]], list[str]]:
        if self.failures:
            self.failures -= 1
            raise AwsError("AccessDeniedException", "denied", "dynamodb:BatchGetItem is denied")
        return [self.items[key] for key in keys if key in self.items], []

    async def write(
        self, items: Sequence[Mapping[str, str | float]], deletes: Sequence[str]
    ) -> list[str]:
        assert not deletes
        self.items |= {str(item[KEY]): item for item in items}
        return []


class World:
    """A table, a clock and the relays that start one after the other."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.now = NOW
        self.slept: list[float] = []
        self.woken = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.woken.acquire()
        self.now += seconds

    async def start(self, rule: IdRule, queue: str = "main", where: str = "prod") -> IdRuleRecord:
        record = IdRuleRecord(
            self.table,
            rule,
            ("inngest https://inn.gs", where),
            kept=18 * DAY,
            retention=4 * DAY,
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        record.follow(queue)
        await self.turns()
        return record

    async def turns(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def wake(self) -> None:
        self.woken.release()
        await self.turns()


def warned(record: IdRuleRecord) -> bool:
    return record.warning is not None


async def test_the_same_rule_is_no_warning() -> None:
    world = World()
    for _ in range(3):
        record = await world.start(OLD)
        assert record.warning is None
        await record.aclose()
    (item,) = world.table.items.values()
    assert item["rule"] == "RELAY_ID_PATH=orderId"
    assert item[EXPIRES] == NOW + 18 * DAY


async def test_another_rule_is_a_warning_in_the_log_and_in_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await (await world.start(OLD)).aclose()
    record = await world.start(NEW)
    assert record.warning is not None
    assert "RELAY_ID_ATTRIBUTE=order-id since 2026-01-01 00:00:00Z" in record.warning
    assert "RELAY_ID_PATH=orderId before" in record.warning
    assert record.warning in caplog.text
    await record.aclose()


async def test_a_restart_warns_again_while_older_messages_may_be_in_the_queue() -> None:
    world = World()
    await (await world.start(OLD)).aclose()
    await (await world.start(NEW)).aclose()
    world.now += 3.9 * DAY
    record = await world.start(NEW)
    assert record.warning is not None
    world.now += 0.1 * DAY
    assert not warned(record)
    await record.aclose()


async def test_a_rule_that_was_changed_back_is_a_warning_too() -> None:
    world = World()
    for rule in (OLD, NEW):
        await (await world.start(rule)).aclose()
    record = await world.start(OLD)
    assert record.warning is not None
    assert "were made with RELAY_ID_ATTRIBUTE=order-id before" in record.warning
    await record.aclose()


async def test_queues_and_environments_have_records_of_their_own() -> None:
    world = World()
    for queue, where, rule in (("main", "prod", OLD), ("other", "prod", NEW), ("main", "dev", NEW)):
        record = await world.start(rule, queue, where)
        assert record.warning is None
        await record.aclose()
    assert len(world.table.items) == 3


async def test_a_table_that_does_not_answer_is_tried_again() -> None:
    world = World()
    await (await world.start(OLD)).aclose()
    world.slept.clear()
    world.table.failures = 2
    record = await world.start(NEW)
    assert not warned(record)
    await world.wake()
    await world.wake()
    assert world.slept == [RETRY_EVERY, RETRY_EVERY, REFRESH_EVERY]
    assert warned(record)
    await record.aclose()


async def test_the_record_does_not_expire_while_a_relay_runs() -> None:
    world = World()
    record = await world.start(OLD)
    await world.wake()
    (item,) = world.table.items.values()
    assert item[EXPIRES] == NOW + DAY + 18 * DAY
    await record.aclose()


async def test_an_old_relay_does_not_take_back_the_rule_of_a_newer_one() -> None:
    world = World()
    old = await world.start(OLD)
    new = await world.start(NEW)
    await world.wake()
    await world.wake()
    (item,) = world.table.items.values()
    assert item["rule"] == str(NEW)
    await old.aclose()
    await new.aclose()


@pytest.mark.parametrize("named", [True, False])
async def test_a_relay_with_another_rule_says_so_in_ready(
    moto: str, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto)
    table = new_table(moto, REGION)
    settings = Settings(ledger_table=table, queue_url="events" if named else None, confirm="off")
    telemetry = Telemetry(
        observe=lambda _: None, wrap=lambda end: end, add_metrics_route=lambda app: app
    )
    client = boto3.client("dynamodb", endpoint_url=moto, region_name=REGION)
    for path in (None, "data.orderId"):
        async with open_core(settings.model_copy(update={"id_path": path}), telemetry) as core:
            core.ledger.observe(Received(Message(body=b"", message_id="m", queue="events")))
            expected = f"RELAY_ID_PATH={path}" if path else "no setting"
            async with asyncio.timeout(20):
                await until(partial(recorded, client, table, expected))
            warnings = core.readiness()[1]["warnings"]
    client.close()
    assert ["RELAY_ID_PATH=data.orderId since" in warning for warning in warnings] == [True]


def recorded(client: Any, table: str, rule: str) -> bool:
    return any(item["rule"]["S"] == rule for item in client.scan(TableName=table)["Items"])
