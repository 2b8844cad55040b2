"""The trace of one event: how one source leads to another, and which gaps are reported."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from relay.app.ledger import ledger_scope
from relay.aws.dynamodb import open_table
from relay.aws.session import SharedSession
from relay.delivery.ledger import LedgerEntries, TableAccess
from relay.local.inngest import Fault, InngestServer, Rule
from relay.model.event import Event
from relay.settings.loading import load
from tests.ops.trace.conftest import (
    EVENT,
    MESSAGE,
    delivered,
    descriptions,
    log_line,
    retried,
    trace,
)

Settings = dict[str, str]
ULID = "01JQJ00000000000000000000Z"


async def test_a_reference_in_the_log_leads_to_the_event_and_its_run(
    settings: Settings, publish: Callable[..., Any], log: Callable[..., Path]
) -> None:
    ulid = await publish(name="shop/paid", id="order-1")
    found = await trace("order-1", settings, logs=[log(retried(), delivered(ulid))])
    assert descriptions(found)[:5] == [
        "sent to events",
        "received from events",
        "not delivered, will be retried: the destination is down",
        "received from events for the 2nd time",
        f"delivered as {ulid}",
    ]
    assert descriptions(found, "inngest") == [
        f"stored as {ulid}",
        "send-receipt started",
        "send-receipt ended: completed",
    ]
    assert found.gaps == ()


async def test_without_any_log_the_server_is_searched_for_the_id(
    settings: Settings, publish: Callable[..., Any]
) -> None:
    for number in range(60):
        await publish(name="shop/other", id=f"n-{number}")
    ulid = await publish(name="shop/paid", id="order-1")
    copy = await publish(name="shop/paid", id="order-1")
    found = await trace("order-1", settings)
    assert {f"stored as {ulid}", f"stored as {copy}"} <= set(descriptions(found, "inngest"))
    assert sum("started" in what for what in descriptions(found)) == 1


async def test_the_servers_id_is_enough(settings: Settings, publish: Callable[..., Any]) -> None:
    ulid = await publish(name="shop/paid", id="order-1")
    found = await trace(ulid, settings)
    assert found.known.events == {("shop/paid", "order-1")}
    assert len(found.entries) == 3


async def test_an_accepted_event_that_is_not_stored_is_reported(
    settings: Settings, log: Callable[..., Path]
) -> None:
    found = await trace("order-1", settings, logs=[log(delivered(ULID))])
    (what,) = descriptions(found, "inngest")
    assert what.startswith(f"not stored: {ULID} was accepted")
    assert what.endswith("seconds ago may not be stored yet")


async def test_a_wrong_signing_key_is_a_gap(settings: Settings) -> None:
    found = await trace("order-1", {**settings, "RELAY_INNGEST_SIGNING_KEY": "abcd"})
    (gap,) = found.gaps
    assert gap[0] == "inngest"
    assert "RELAY_INNGEST_SIGNING_KEY" in gap[1]


async def test_a_server_that_is_down_is_a_gap_and_other_sources_are_shown(
    settings: Settings, inngest: InngestServer, log: Callable[..., Path]
) -> None:
    await inngest.down()
    found = await trace("order-1", settings, logs=[log(delivered(ULID))])
    assert len(found.entries) == 3
    assert [name for name, _ in found.gaps] == ["inngest"]


async def test_a_backend_error_that_comes_as_an_empty_200_is_a_gap(
    settings: Settings, inngest: InngestServer
) -> None:
    inngest.script.add(Rule(fault=Fault(status=200, body=""), path="/v1/", times=None))
    found = await trace("order-1", settings)
    assert "not a response of the API" in found.gaps[0][1]


async def test_the_cloud_without_a_signing_key_is_a_gap() -> None:
    found = await trace("order-1", {"RELAY_INNGEST_EVENT_KEY": "k"})
    assert found.gaps[0][0] == "inngest"


async def test_an_unreadable_log_file_is_a_gap_and_other_files_are_read(
    settings: Settings, log: Callable[..., Path], tmp_path: Path
) -> None:
    absent = tmp_path / "absent.log"
    found = await trace("order-1", settings, logs=[absent, log(delivered(ULID))])
    assert f"delivered as {ULID}" in descriptions(found, "log")
    assert found.gaps == (("log files", f"{absent} cannot be read: No such file or directory"),)


async def test_lines_in_the_console_format_are_a_gap(
    settings: Settings, log: Callable[..., Path]
) -> None:
    found = await trace("order-1", settings, logs=[log("10:15:00 delivered shop/paid order-1")])
    assert found.gaps == (("log files", "3 lines contain the id but are not JSON from the relay"),)


async def test_compressed_logs_are_read(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "audit.log.1.gz"
    path.write_bytes(gzip.compress(delivered(ULID).encode()))
    assert descriptions(await trace("order-1", settings, logs=[path]), "log")


async def test_a_log_group_is_searched_for_every_id_that_is_found(
    settings: Settings, aws: Callable[[str], Any]
) -> None:
    logs = aws("logs")
    logs.create_log_group(logGroupName="audit")
    logs.create_log_stream(logGroupName="audit", logStreamName="i-1")
    # CloudWatch rejects events that are older than two weeks.
    at = int(time.time() * 1_000)
    lines = [retried(), log_line(MESSAGE, "its lease was lost"), delivered(ULID)]
    logs.put_log_events(
        logGroupName="audit",
        logStreamName="i-1",
        logEvents=[{"timestamp": at + i, "message": text} for i, text in enumerate(lines)],
    )
    found = await trace("order-1", settings, log_group="audit")
    assert "its lease was lost" in descriptions(found, "log")
    assert f"delivered as {ULID}" in descriptions(found, "log")
    missing = await trace("order-1", settings, log_group="absent")
    assert "log group" in dict(missing.gaps)


async def record_delivered(
    settings: Settings, aws: Callable[[str], Any], name: str, event: Event
) -> None:
    """Record the event as delivered in a new table of this name."""
    aws("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
    )
    async with AsyncExitStack() as stack:
        table = await stack.enter_async_context(open_table(SharedSession(stack), name, key="key"))
        destination, environment = ledger_scope(load(settings).settings)
        records = LedgerEntries(
            table,
            TableAccess(patience=30.0),
            destination=destination,
            environment=environment,
            kept=60.0,
        )
        assert await records.record("delivered", records.subject(event), ULID)


async def test_the_ledger_is_queried_with_the_name_from_another_source(
    settings: Settings, aws: Callable[[str], Any], log: Callable[..., Path], inngest: InngestServer
) -> None:
    await record_delivered(settings, aws, "ledger", EVENT)
    settings = {**settings, "RELAY_LEDGER_TABLE": "ledger"}
    alone = await trace("order-1", settings)
    assert "--name" in dict(alone.gaps)["ledger"]
    for options in ({"name": "shop/paid"}, {"logs": [log(retried())]}):
        found = await trace("order-1", settings, **options)
        assert descriptions(found, "ledger") == [f"delivered as {ULID}"]
        assert "not stored" in descriptions(found, "inngest")[0]


async def test_the_ledger_is_queried_for_the_environment_of_the_event(
    settings: Settings, aws: Callable[[str], Any]
) -> None:
    await record_delivered(settings, aws, "branches", replace(EVENT, env="branch-7"))
    settings = {**settings, "RELAY_LEDGER_TABLE": "branches"}
    own = await trace("order-1", settings, name="shop/paid")
    assert descriptions(own, "ledger") == []
    other = await trace("order-1", settings, name="shop/paid", environment="branch-7")
    assert descriptions(other, "ledger") == [f"delivered as {ULID}"]


async def test_a_ledger_that_does_not_answer_is_a_gap(
    settings: Settings, aws: Callable[[str], Any]
) -> None:
    settings = {**settings, "RELAY_LEDGER_TABLE": "absent"}
    found = await trace("order-1", settings, name="shop/paid")
    assert "absent" in dict(found.gaps)["ledger"]


async def test_the_json_is_in_order_of_time(
    settings: Settings, publish: Callable[..., Any], log: Callable[..., Path]
) -> None:
    ulid = await publish(name="shop/paid", id="order-1")
    found = await trace("order-1", settings, logs=[log(delivered(ulid), retried())])
    document = json.loads(json.dumps(found.as_json()))
    assert document["events"] == [{"id": "order-1", "name": "shop/paid"}]
    assert document["references"] == [ulid]
    times = [entry["at"] for entry in document["timeline"]]
    assert times == sorted(times)
    assert {"source", "what", "message_id", "outcome"} <= document["timeline"][4].keys()
