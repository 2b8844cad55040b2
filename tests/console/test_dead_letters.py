"""The pages about dead letters: what a snapshot costs, its groups, a search, one dead letter."""

from __future__ import annotations

import asyncio
import gzip
import html
import re
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from relay.dlq.snapshot import Snapshot
from relay.local.sqs import Fault
from tests.console.running import Console, eventually, local_queues, serving, working
from tests.dlq import incident

BIG = 2**63 + 7
"""In the body of the eighth parcel, invoice and refund; a browser's own numbers end at 2**53."""


def text_of(page: str) -> str:
    """The text of a page as a person reads it."""
    plain = re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<head>.*?</head>", "", page))
    return " ".join(html.unescape(plain).split())


def receives(console: Console) -> int:
    """Receives from the dead-letter queue; what SQS moved there was received before."""
    stored = console.queues.stored(incident.DEAD)
    return sum(one.receive_count for one in stored) - incident.REFUNDS.count


async def shown(browser: httpx.AsyncClient, path: str) -> str:
    response = await browser.get(path)
    assert response.status_code == 200, response.text
    return text_of(response.text)


def links(page: str, beginning: str) -> list[str]:
    found = re.findall(rf'href="({re.escape(beginning)}[^"]*)"', page)
    return [html.unescape(one) for one in found]


async def test_before_the_first_snapshot_the_page_says_what_one_costs(
    browser: httpx.AsyncClient,
) -> None:
    text = await shown(browser, "/dead-letters")
    assert "Take a new snapshot of 325 messages" in text
    assert "Receives each message once, in about 33 requests" in text
    assert "receive count grows by one" in text


async def test_a_snapshot_receives_each_message_once_and_releases_it(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    assert console.queues.visible(incident.DEAD) == 325
    assert receives(console) == 325
    (path,) = console.directory.iterdir()
    assert sum(1 for _ in Snapshot(path)) == 325
    assert path.stat().st_mode & 0o777 == 0o600


async def test_the_groups_say_what_died_why_and_what_a_redrive_would_do(
    snapshot: httpx.AsyncClient,
) -> None:
    page = (await snapshot.get("/dead-letters")).text
    text = text_of(page)
    assert "325 dead letters" in text
    assert "205 would run 30 may run twice 90 would be rejected again" in text
    rows = [text_of(row) for row in re.findall(r'(?s)<tr role="row">(.*?)</tr>', page)[1:]]
    assert len(rows) == len(incident.KINDS)
    for row, kind in zip(rows, sorted(incident.KINDS, key=lambda one: -one.count), strict=True):
        assert row.startswith(f"{kind.name} {kind.code} {kind.reason[:20]}"), row
        assert f" {kind.count} " in row
        assert ("would be rejected again" in row) is kind.fails


@pytest.mark.parametrize("by", ["source", "hour", "shape"])
async def test_other_groupings_count_the_same_dead_letters(
    snapshot: httpx.AsyncClient, by: str
) -> None:
    page = (await snapshot.get(f"/dead-letters?by={by}")).text
    counts = re.findall(r'<span class="strong">([\d,]+)</span>\s*<svg', page)
    assert sum(int(count.replace(",", "")) for count in counts) == 325
    for address in links(page, "/dead-letters/list?"):
        assert f"{by}=" in address
        assert "No dead letter matches" not in await shown(snapshot, address)


async def test_a_group_leads_to_its_dead_letters_page_by_page(snapshot: httpx.AsyncClient) -> None:
    groups = (await snapshot.get("/dead-letters")).text
    address = links(groups, "/dead-letters/list?")[0]
    seen = list[str]()
    while address:
        page = (await snapshot.get(address)).text
        assert "120 dead letters" in text_of(page)
        seen += links(page, "/dead-letter?id=")
        found = re.search(r'rel="next" href="([^"]*)"', page)
        address = html.unescape(found[1]) if found else ""
    assert len(seen) == len(set(seen)) == 120


@pytest.mark.parametrize("page", ["0", "-1", "99999999999999999999", "x", "٣", "2.5"])
async def test_a_page_that_does_not_exist_is_the_nearest_one(
    snapshot: httpx.AsyncClient, page: str
) -> None:
    assert "Page 1 of 7" in await shown(snapshot, f"/dead-letters/list?page={page}")
    assert "Page 7 of 7" in await shown(snapshot, "/dead-letters/list?page=999999")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("parcel-007", 1),
        ("PARCEL-007", 1),
        ("shop/invoice", 60),
        (f'"account": {BIG}', 3),
        ("/checkout", 12),
        ("nothing like it", 0),
        ("100%_", 0),
        ("' OR 1=1 --", 0),
        ("\x00", 0),
    ],
)
async def test_a_search_finds_ids_names_and_content(
    snapshot: httpx.AsyncClient, text: str, count: int
) -> None:
    response = await snapshot.get("/dead-letters/list", params={"q": text})
    assert len(links(response.text, "/dead-letter?id=")) == min(count, 50)
    assert f"{count} dead letter" in text_of(response.text)


async def test_one_dead_letter_is_shown_with_its_body_number_by_number(
    snapshot: httpx.AsyncClient,
) -> None:
    found = (await snapshot.get("/dead-letters/list?q=parcel-007")).text
    address = links(found, "/dead-letter?id=")[0]
    text = await shown(snapshot, address)
    assert str(BIG) in text
    assert "fails alone while others are accepted: 500: parcel rule 7" in text
    assert "Its event will run" in text
    assert "SQS deletes it" in text
    assert "Times dead-lettered 1" in text
    body = await snapshot.get(address.replace("/dead-letter?", "/dead-letter/body?"))
    assert body.content.decode() == incident.body_of(incident.PACKED, 7)
    assert body.headers["content-disposition"].startswith("attachment")


async def test_a_dead_letter_is_found_by_any_of_its_ids(snapshot: httpx.AsyncClient) -> None:
    assert "shop/parcel.packed" in await shown(snapshot, "/dead-letter?id=parcel-007")
    several = await shown(snapshot, "/dead-letter?id=stock-008-1")
    assert "2 dead letters have the id stock-008-1" in several
    missing = await snapshot.get("/dead-letter?id=nobody")
    assert missing.status_code == 404
    assert "no_such_dead_letter" in missing.text


async def test_what_would_be_rejected_again_says_why(snapshot: httpx.AsyncClient) -> None:
    found = (await snapshot.get("/dead-letters/list?code=ts_in_seconds")).text
    text = await shown(snapshot, links(found, "/dead-letter?id=")[0])
    assert "would be rejected again" in text
    assert "it must be in milliseconds" in text
    assert "The relay decodes no event from it" in text


async def test_a_list_names_the_command_that_redrives_exactly_these(
    snapshot: httpx.AsyncClient,
) -> None:
    group = "name=shop/parcel.packed&code=fails_alone"
    listed = await shown(snapshot, f"/dead-letters/list?{group}")
    assert "relay dlq redrive --name shop/parcel.packed --code fails_alone" in listed
    for unsayable in (f"{group}&q=007", "name=(no event)&code=not_json", "hour=x", ""):
        assert "dlq redrive" not in await shown(snapshot, f"/dead-letters/list?{unsayable}")


async def test_a_new_start_shows_the_latest_snapshot(
    console: Console, snapshot: httpx.AsyncClient, stack: AsyncExitStack
) -> None:
    again = await stack.enter_async_context(serving(console.queues, console.directory))
    browser = await again.browser(stack)
    text = await eventually(browser, "/dead-letters", lambda page: "Groups" in page)
    assert "325 dead letters" in text
    assert receives(console) == 325


async def test_a_damaged_snapshot_is_reported_and_another_can_be_taken(
    console: Console, snapshot: httpx.AsyncClient, stack: AsyncExitStack
) -> None:
    (path,) = console.directory.iterdir()
    plain = console.directory / "relay-dlq-snapshot-zz.jsonl"
    lines = [b"{}" if n == 5 else line for n, line in enumerate(_lines(path))]
    plain.write_bytes(b"\n".join(lines))
    path.unlink()
    again = await stack.enter_async_context(serving(console.queues, console.directory))
    browser = await again.browser(stack)
    text = await eventually(browser, "/dead-letters", working, ends=True)
    assert "line 6" in text_of(text)
    await again.take_snapshot(browser)
    assert "325 dead letters" in await shown(browser, "/dead-letters")


def _lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).split(b"\n")


async def test_a_queue_that_cannot_be_read_is_reported(
    console: Console, browser: httpx.AsyncClient
) -> None:
    del console.queues.sqs.account.queues[incident.DEAD]
    await console.take_snapshot(browser)
    text = await shown(browser, "/dead-letters")
    assert "No snapshot was taken: " in text
    assert list(console.directory.iterdir()) == []


async def test_two_operators_who_press_the_button_at_once_take_one_snapshot(
    console: Console, browser: httpx.AsyncClient, stack: AsyncExitStack
) -> None:
    other = await console.browser(stack)
    await asyncio.gather(
        *(
            console.submit(one, "/dead-letters", "/dead-letters/snapshot")
            for one in (browser, other)
        )
    )
    await eventually(other, "/dead-letters", working, ends=True)
    assert len(list(console.directory.iterdir())) == 1
    assert receives(console) == 325


def incomplete(directory: Path) -> list[Path]:
    """Files of snapshots that were not completed."""
    found = []
    for path in directory.iterdir():
        snapshot = Snapshot(path)
        if sum(1 for _ in snapshot) < incident.COUNT or not (
            snapshot.end and snapshot.end.complete
        ):
            found.append(path)
    return found


async def test_a_console_that_stops_while_it_receives_releases_every_message(
    tmp_path: Path,
) -> None:
    async with local_queues() as queues:
        await incident.make_incident(queues)
        async with AsyncExitStack() as stack:
            console = await stack.enter_async_context(serving(queues, tmp_path))
            browser = await console.browser(stack)
            # On the queues' clock, which stands still until the console stops.
            queues.sqs.faults.add(Fault(action="ReceiveMessage", skip=10, times=None, delay=1.0))
            await console.submit(browser, "/dead-letters", "/dead-letters/snapshot")
            await eventually(browser, "/dead-letters", lambda page: "Receiving: 1" in page)
            assert queues.visible(incident.DEAD) < 325
            stopping = asyncio.create_task(stack.aclose())
            while not stopping.done():
                queues.clock.advance(1.0)
                await asyncio.sleep(0.01)
        assert queues.visible(incident.DEAD) == 325
        assert incomplete(tmp_path) == []
