"""The ledger as the source of accepted events: it knows their references and no names."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from relay.app.ledger import ledger_scope
from relay.aws.dynamodb import open_table
from relay.aws.session import SharedSession
from relay.delivery.ledger import LedgerEntries, TableAccess
from relay.model.event import Event
from relay.settings.loading import load
from tests.ops.audit.conftest import World
from tests.ops.doctor.conftest import run

LOST = "01M8NY0AAMK38GQM6KRZ2K7000"


async def record(settings: dict[str, str], aws: Callable[[str], Any], *references: str) -> None:
    """Record a delivery under each reference, as a relay does, in a table of its own."""
    name = f"ledger-{uuid.uuid4().hex}"
    settings["RELAY_LEDGER_TABLE"] = name
    aws("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
    )
    async with AsyncExitStack() as stack:
        opening = open_table(SharedSession(stack), name, key="key")
        table = await stack.enter_async_context(opening)
        destination, environment = ledger_scope(load(settings).settings)
        entries = LedgerEntries(
            table,
            TableAccess(patience=30.0),
            destination=destination,
            environment=environment,
            kept=600.0,
        )
        for number, reference in enumerate(references):
            subject = entries.subject(Event(f"e-{number}", "any", message_id="m"))
            assert await entries.record("sending", subject)
            assert await entries.record("delivered", subject, reference)


async def test_names_are_read_from_the_server_and_a_lost_event_is_missing(
    world: World, settings: dict[str, str], aws: Callable[[str], Any]
) -> None:
    references = await world.post(
        {"name": "media/uploaded", "id": "a"}, {"name": "media/none", "id": "b"}
    )
    await record(settings, aws, *references, LOST)
    result = await run("audit", "--ledger", "--json", **settings)
    document = json.loads(result.out)
    states = {state: count for state, count in document["states"].items() if count}
    assert (result.code, document["source"]) == (1, "ledger")
    assert states == {"completed": 1, "unheard": 1, "missing": 1}
    assert sorted(document["by_name"]) == ["(unknown)", "media/none", "media/uploaded"]
    chosen = await run("audit", "--ledger", "--json", "--name", "media/up*", **settings)
    assert "media/none" not in json.loads(chosen.out)["by_name"]


async def test_a_large_table_is_read_page_by_page(
    world: World, settings: dict[str, str], aws: Callable[[str], Any]
) -> None:
    (reference,) = await world.post({"name": "media/uploaded", "id": "a"})
    await record(settings, aws, reference)
    # DynamoDB reads a megabyte for each page, whatever of it the filter leaves.
    client = aws("dynamodb")
    for number in range(8):
        item = {"key": {"S": f"a{number}"}, "text": {"S": "x" * 390_000}}
        client.put_item(TableName=settings["RELAY_LEDGER_TABLE"], Item=item)
    document = json.loads((await run("audit", "--ledger", "--json", **settings)).out)
    assert document["states"]["completed"] == 1


async def test_a_ledger_that_cannot_be_read_leaves_the_audit_incomplete(
    settings: dict[str, str], aws: Callable[[str], Any]
) -> None:
    assert "absent" not in aws("dynamodb").list_tables()["TableNames"]
    settings["RELAY_LEDGER_TABLE"] = "absent"
    result = await run("audit", "--ledger", **settings)
    assert result.code == 3
    assert "absent" in result.err
