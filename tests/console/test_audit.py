"""The page *Audit*: the form, what is shown while it runs, its result, and what it refuses."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from relay.local.inngest import Function, InngestServer
from tests.console.running import SETTINGS, Console, eventually, local_queues, serving, working
from tests.console.test_dead_letters import shown

KEY = "00ff00ff00ff00ff"
FUNCTIONS = (
    Function(name="completes", on="media/uploaded", app="media"),
    Function(name="fails", on="media/broken", app="media", fails=True),
)
EVENTS = (
    {"name": "media/uploaded", "id": "a"},
    {"name": "media/broken", "id": "b <i>"},
    {"name": "media/uplaoded", "id": "c"},
)


@pytest.fixture
async def inngest() -> AsyncIterator[InngestServer]:
    """A server with an event that completed, one that failed, and one that nobody listens to."""
    async with InngestServer(
        functions=FUNCTIONS, mode="start", event_keys=["local"], signing_key=KEY
    ) as server:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.post(f"{server.url}/e/local", json=[*EVENTS])
        await server.settled()
        yield server


@pytest.fixture
async def audited(inngest: InngestServer, tmp_path: Path, stack: AsyncExitStack) -> Console:
    """A read-only console of this server."""
    return await console_of(inngest, tmp_path, stack)


async def console_of(
    server: InngestServer, directory: Path, stack: AsyncExitStack, **settings: str
) -> Console:
    queues = await stack.enter_async_context(local_queues())
    queues.make("dead")
    queues.make("main", "dead")
    given = SETTINGS | {"RELAY_QUEUE_URL": "main", "RELAY_INNGEST_URL": server.url}
    given |= {"RELAY_INNGEST_SIGNING_KEY": KEY, **settings}
    return await stack.enter_async_context(serving(queues, directory, given))


async def audit(console: Console, browser: httpx.AsyncClient, **fields: str) -> tuple[str, str]:
    """Send the form; the address of the result, and the page once the audit has ended."""
    begun = await console.submit(browser, "/audit", "/audit", **fields)
    assert begun.status_code == 303, begun.text
    path = begun.headers["location"]
    return path, await eventually(browser, path, working, ends=True)


async def test_an_audit_shows_states_names_functions_hours_and_failed_events(
    audited: Console, stack: AsyncExitStack
) -> None:
    browser = await audited.browser(stack)
    assert "Nothing is changed." in await shown(browser, "/audit")
    _, page = await audit(audited, browser, since="2h")
    assert "3 accepted events, 2 of them failed, unheard or missing" in page
    for title in ("Events by name", "Runs by function", "Events by hour"):
        assert title in page
    assert "media/fails" in page
    # The nearest name that a function listens to.
    assert "1 name that no function listens to" in page
    assert page.index("media/uplaoded") < page.index("media/uploaded")
    assert f'href="/event?id={quote("b <i>").replace("%20", "+")}&amp;name=media%2Fbroken"' in page
    assert "<i>" not in page
    assert "relay audit --since 2h</code>" in page
    assert "relay audit --since 2h --failed --rerun" in page
    assert "3 events" in await shown(browser, "/audit")


async def test_names_limit_it_and_are_part_of_the_command(
    audited: Console, stack: AsyncExitStack
) -> None:
    browser = await audited.browser(stack)
    path, page = await audit(audited, browser, since="3h", names="media/up*\nmedia/other")
    assert "2 accepted events" in page
    command = "relay audit --since 3h --name 'media/up*' --name media/other"
    assert command in html.unescape(page)
    again = html.unescape(page).partition('href="/audit?')[2].partition('"')[0]
    form = (await browser.get(f"/audit?{again}")).text
    assert "media/up* media/other</textarea>" in form
    assert path in html.unescape((await browser.get("/audit")).text)


async def test_the_log_file_is_a_source_if_one_is_configured(
    inngest: InngestServer, tmp_path: Path, stack: AsyncExitStack
) -> None:
    log = tmp_path / "relay.log"
    log.write_text("")
    console = await console_of(inngest, tmp_path, stack, RELAY_LOG_FILE=str(log))
    browser = await console.browser(stack)
    assert "the log file" in await shown(browser, "/audit")
    _, page = await audit(console, browser, source="log")
    assert "0 accepted events" in page
    assert f"--log {log}" in page


async def test_a_server_that_refuses_the_key_is_named_and_nothing_is_shown(
    inngest: InngestServer, tmp_path: Path, stack: AsyncExitStack
) -> None:
    console = await console_of(inngest, tmp_path, stack, RELAY_INNGEST_SIGNING_KEY="abcd")
    _, page = await audit(console, await console.browser(stack))
    assert "No result" in page
    assert "RELAY_INNGEST_SIGNING_KEY" in page


async def test_one_audit_at_a_time_and_it_can_be_stopped(
    inngest: InngestServer, tmp_path: Path, stack: AsyncExitStack
) -> None:
    console = await console_of(inngest, tmp_path, stack)
    browser = await console.browser(stack)
    async with httpx.AsyncClient(trust_env=False) as client:
        many = [{"name": "media/uploaded", "id": f"m-{n}"} for n in range(300)]
        await client.post(f"{inngest.url}/e/local", json=many)
    begun = await console.submit(browser, "/audit", "/audit")
    second = await console.submit(browser, "/audit", "/audit")
    assert (second.status_code, "audit_under_way" in second.text) == (409, True)
    path = begun.headers["location"]
    waiting = (await browser.get(path)).text
    assert "This page reloads by itself" in waiting
    ident = path.partition("id=")[2]
    stopped = await console.submit(browser, path, "/audit/stop", id=ident)
    assert stopped.headers["location"] == path
    page = await eventually(browser, path, working, ends=True)
    assert "Incomplete:" in page
    _, whole = await audit(console, browser)
    assert "303 accepted events" in whole
    assert "Incomplete:" not in whole


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"since": "soon"}, "begin: 'soon' is neither"),
        ({"since": "1h", "to": "2h"}, "begin is not before the end"),
        ({"names": "x " * 5 + "y" * 300}, "at most 50 event names"),
        ({"source": "ledger"}, "no such source"),
        ({"source": "other"}, "no such source"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    audited: Console, stack: AsyncExitStack, fields: dict[str, str], said: str
) -> None:
    browser = await audited.browser(stack)
    refused = await audited.submit(browser, "/audit", "/audit", **fields)
    assert refused.status_code == 422
    assert said in html.unescape(refused.text)


async def test_an_unknown_audit_and_a_form_of_another_page_are_refused(
    audited: Console, stack: AsyncExitStack
) -> None:
    browser = await audited.browser(stack)
    unknown = await browser.get("/audit/result?id=0")
    assert (unknown.status_code, "no_such_audit" in unknown.text) == (404, True)
    for path in ("/audit", "/audit/stop"):
        assert (await browser.post(path, data={"since": "1h"})).status_code == 403


async def test_another_destination_has_no_form(tmp_path: Path, stack: AsyncExitStack) -> None:
    async with InngestServer() as server:
        webhook = {"RELAY_DESTINATION": "webhook", "RELAY_WEBHOOK_URL": "https://example.com/"}
        console = await console_of(server, tmp_path, stack, **webhook)
        browser = await console.browser(stack)
        page = await shown(browser, "/audit")
        assert "Only events of Inngest can be audited" in page
        refused = await console.submit(browser, "/doctor", "/audit")
        assert (refused.status_code, "cannot_audit" in refused.text) == (409, True)
