"""What an action is for: a choice that no filter says is made by ids, up to a limit."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from relay.console.dead_letter_index import DeadLetterIndex
from relay.console.dead_letter_rows import Query
from relay.console.selection import MAX_IDS, Choice, filter_of
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.filters import Filter
from relay.dlq.snapshot import Head, SnapshotWriter
from relay.envelope import Rules
from relay.model.message import Message
from relay.output.times import format_hour
from tests.console.running import SETTINGS, eventually, local_queues, serving, working
from tests.console.test_access import code_of
from tests.console.test_actions import hidden_fields
from tests.dlq import incident
from tests.dlq.queues import origin_attribute

SENT = time.time() - 7_200.0


def write_snapshot(path: Path, arn: str, events: int, others: int) -> None:
    """Dead letters of one hour: so many of `shop/event`, and so many of `shop/other`."""
    head = Head(queue=incident.DEAD, arn=arn, taken_at=time.time(), retention=1e6, fifo=False)
    with SnapshotWriter(path, head) as writer:
        for number in range(events + others):
            name = "shop/event" if number < events else "shop/other"
            body = f'{{"name":"{name}","data":{{"n":{number}}}}}'
            writer.add(
                Message(
                    body=body.encode(),
                    message_id=f"id-{number}",
                    queue=incident.DEAD,
                    sent_at=SENT,
                    attributes=origin_attribute(f"base-{number}"),
                )
            )
        writer.close(complete=True)


@pytest.fixture
async def browser(tmp_path: Path, stack: AsyncExitStack) -> httpx.AsyncClient:
    """A browser of a console whose snapshot has one dead letter too many of one hour."""
    queues = await stack.enter_async_context(local_queues())
    queues.make(incident.DEAD)
    queues.make(incident.MAIN, incident.DEAD)
    path = tmp_path / "relay-dlq-snapshot-large.jsonl"
    write_snapshot(path, queues.sqs.queues[incident.DEAD].arn, MAX_IDS, 1)
    console = await stack.enter_async_context(serving(queues, tmp_path, SETTINGS, write=True))
    browser = await console.browser(stack)
    await eventually(browser, "/dead-letters", working, ends=True)
    return browser


async def show_plan(browser: httpx.AsyncClient, command: str, **choice: str) -> httpx.Response:
    form = await browser.get(f"/{command}", params=choice)
    assert form.status_code == 200, form.text
    headers = {"sec-fetch-site": "same-origin"}
    return await browser.post(f"/{command}", data=hidden_fields(form.text), headers=headers)


async def test_more_dead_letters_than_ids_are_refused_where_no_filter_selects_exactly_them(
    browser: httpx.AsyncClient,
) -> None:
    hour = format_hour(SENT)
    for command in ("redrive", "drop"):
        refused = await show_plan(browser, command, hour=hour)
        assert (refused.status_code, code_of(refused)) == (422, "selection_too_large")
        assert f"exactly these {MAX_IDS + 1:,} dead letters" in refused.text
        assert f"more than {MAX_IDS:,} ids" in refused.text
        refused = await show_plan(browser, command, q="nothing like it")
        assert (refused.status_code, code_of(refused)) == (422, "nothing_chosen")
    # As many as the limit are chosen by their ids.
    accepted = await show_plan(browser, "drop", q='"shop/event"')
    assert accepted.status_code == 303
    # A filter says it, whatever the number.
    accepted = await show_plan(browser, "drop", name="shop/event", hour=hour)
    assert accepted.status_code == 303


async def test_a_group_is_chosen_without_batches_that_have_its_event_at_another_place() -> None:
    head = Head(queue="dead", arn="arn", taken_at=SENT, retention=1e6, fifo=False)
    index = DeadLetterIndex(head)
    bodies = ('[{"name":"a"},{"name":"b"}]', '{"name":"b"}', '{"name":"c"}')
    messages = [
        Message(
            body=body.encode(),
            message_id=f"id-{number}",
            queue="dead",
            attributes=origin_attribute(f"base-{number}"),
        )
        for number, body in enumerate(bodies)
    ]

    async def read(message: Message) -> DeadLetter:
        return read_dead_letter(message, Rules())

    await index.fill(messages, read, lambda _: "runs")
    dead_letters = [await read(message) for message in messages]
    for name, chosen in (("a", "id-0"), ("b", "id-1"), ("c", "id-2")):
        filters, matching = await filter_of(index, Choice(Query(name=name)), SENT)
        matched = frozenset(one.message.message_id for one in dead_letters if filters.matches(one))
        assert matched == matching == frozenset({chosen})
    assert await filter_of(index, Choice(Query()), SENT) == (Filter(), None)
    filters, matching = await filter_of(index, Choice(Query(), "id-2"), SENT)
    assert (filters.ids, matching) == (("id-2",), frozenset({"id-2"}))
