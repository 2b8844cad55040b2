"""Who may use the console: its token, its host and origin, its forms, and read-only mode."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from relay.app.console.serve import ConsoleOptions, open_console
from relay.console.access import FORM_TOKEN, HEADERS, MAX_FORM, Access, Form
from relay.console.application import console_application
from relay.console.rendering import Renderer
from relay.settings.loading import load
from tests.console.running import SAME_ORIGIN, SETTINGS, Console, form_token, local_queues, serving

PAGES = ("/", "/dead-letters", "/dead-letters/list", "/event", "/event?id=parcel-1", "/doctor")


@pytest.fixture
async def console(tmp_path: Path, stack: AsyncExitStack) -> Console:
    """A console with empty queues."""
    queues = await stack.enter_async_context(local_queues())
    queues.make("dead")
    queues.make("main", "dead")
    settings = SETTINGS | {"RELAY_QUEUE_URL": "main"}
    return await stack.enter_async_context(serving(queues, tmp_path, settings))


def flat(routes: Sequence[BaseRoute]) -> Iterator[Route]:
    for route in routes:
        if isinstance(route, Mount):
            yield from flat(route.routes)
        elif isinstance(route, Route):
            yield route


async def routes_with(method: str) -> list[str]:
    """The paths of all routes that answer this method."""
    async with AsyncExitStack() as stack:
        options = ConsoleOptions(write=True)
        opened = await open_console(stack, load(SETTINGS), options)
        assert isinstance(opened.app.app, Starlette)
        return [r.path for r in flat(opened.app.app.routes) if method in (r.methods or ())]


def code_of(response: httpx.Response) -> str:
    found = re.search(r"Code: <code>(\w+)</code>", response.text)
    return found[1] if found else ""


async def test_without_the_cookie_no_page_is_shown(console: Console) -> None:
    paths = await routes_with("GET")
    assert "/now/events" in paths
    async with console.client() as stranger:
        for path in paths:
            response = await stranger.get(path)
            assert (response.status_code, code_of(response)) == (401, "not_signed_in"), path
            assert "<table" not in response.text


async def test_the_printed_address_sets_a_cookie_that_scripts_and_other_sites_cannot_use(
    console: Console,
) -> None:
    async with console.client() as browser:
        response = await browser.get(console.address)
        assert response.status_code == 303
        assert response.headers["location"] == "/"
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        token = console.address.partition("token=")[2]
        assert token not in cookie
        page = await browser.get("/")
        assert page.status_code == 200
        assert token not in page.text


async def test_the_token_can_be_typed_where_the_address_cannot_be_opened(console: Console) -> None:
    token = console.address.partition("token=")[2]
    async with console.client() as browser:
        form = await browser.get("/")
        assert 'action="/sign-in"' in form.text
        refused = await browser.post("/sign-in", data={"token": "guess"}, headers=SAME_ORIGIN)
        assert (refused.status_code, code_of(refused)) == (401, "wrong_token")
        opened = await browser.post("/sign-in", data={"token": token}, headers=SAME_ORIGIN)
        assert opened.status_code == 303
        assert (await browser.get("/")).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "ä", "%FF", "a" * 10_000])
async def test_a_wrong_token_is_refused(console: Console, token: str) -> None:
    async with console.client() as browser:
        response = await browser.get(f"/?token={token}")
        assert (response.status_code, code_of(response)) == (401, "wrong_token")
        assert "set-cookie" not in response.headers


async def test_a_cookie_of_an_earlier_start_is_refused(console: Console, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        browser = await console.browser(stack)
        later = await stack.enter_async_context(serving(console.queues, tmp_path / "later"))
        cookies = {
            re.sub(r"\d+$", str(urlsplit(later.url).port), c.name): c.value or ""
            for c in browser.cookies.jar
        }
        async with httpx.AsyncClient(cookies=cookies, trust_env=False) as old:
            assert (await old.get(later.url)).status_code == 401


async def test_the_token_leaves_the_address_and_never_leads_to_another_host(
    console: Console,
) -> None:
    token = console.address.partition("token=")[2]
    async with console.client() as browser:
        response = await browser.get(f"/event?id=a%26b&token={token}")
        assert response.headers["location"] == "/event?id=a%26b"
        for path in ("//attacker.test/", "/%5C%5Cattacker.test/", "/\\attacker.test/"):
            response = await browser.get(f"{console.url}{path}?token={token}")
            location = response.headers["location"]
            assert urlsplit(location).netloc == "", location
            assert not location.startswith(("//", "/\\")), location


@pytest.mark.parametrize("host", ["attacker.test", "attacker.test:8290", "", "127.0.0.1"])
async def test_a_foreign_host_name_is_refused_even_with_the_cookie(
    browser: httpx.AsyncClient, host: str
) -> None:
    response = await browser.get("/", headers={"host": host})
    assert (response.status_code, code_of(response)) == (421, "host_not_allowed")
    assert (await browser.get("/static/console.css", headers={"host": host})).status_code == 421


async def test_a_second_host_header_is_refused(console: Console) -> None:
    address = urlsplit(console.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    own = f"{address.hostname}:{address.port}"
    writer.write(f"GET / HTTP/1.1\r\nHost: {own}\r\nHost: attacker.test\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] in (b"400", b"421")
    writer.close()


async def test_the_console_answers_to_all_names_of_loopback(console: Console) -> None:
    port = urlsplit(console.url).port
    async with console.client() as browser:
        for name in ("127.0.0.1", "localhost", "[::1]"):
            response = await browser.get("/", headers={"host": f"{name}:{port}"})
            assert response.status_code == 401, name


OTHER_SITES = (
    {"sec-fetch-site": "cross-site", "origin": "https://attacker.test"},
    {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:9999"},
    {"sec-fetch-site": "none"},
    {"origin": "https://attacker.test"},
    {"origin": "null"},
)


@pytest.mark.parametrize("headers", OTHER_SITES)
async def test_a_form_of_another_site_is_refused_with_the_cookie_and_the_token(
    console: Console, browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    token = form_token((await browser.get("/dead-letters")).text)
    for path in await routes_with("POST"):
        response = await browser.post(path, data={FORM_TOKEN: token}, headers=headers)
        assert (response.status_code, code_of(response)) == (403, "other_site"), path
    assert list(console.directory.iterdir()) == []


@pytest.mark.parametrize("token", [None, "", "0" * 64, "ä"])
async def test_a_form_without_its_token_is_refused(
    tmp_path: Path, console: Console, stack: AsyncExitStack, token: str | None
) -> None:
    writing = await stack.enter_async_context(
        serving(console.queues, tmp_path / "writing", write=True)
    )
    browser = await writing.browser(stack)
    given = {} if token is None else {FORM_TOKEN: token}
    for path in await routes_with("POST"):
        response = await browser.post(path, data=given, headers=SAME_ORIGIN)
        assert (response.status_code, code_of(response)) == (403, "form_expired"), path


async def test_what_is_no_form_is_refused(browser: httpx.AsyncClient) -> None:
    for body, code in (
        (b"\xff\xfe", "not_a_form"),
        (b"a=%ff", "not_a_form"),
        (b"&".join(b"a=1" for _ in range(2_000)), "not_a_form"),
        (b"a=" + b"x" * MAX_FORM, "form_too_large"),
        (b"", "form_expired"),
    ):
        response = await browser.post("/dead-letters/snapshot", content=body, headers=SAME_ORIGIN)
        assert code_of(response) == code, body[:20]


class OneAction:
    """A page with one form that changes something."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.done = 0

    def routes(self) -> Sequence[BaseRoute]:
        return (self._access.post("/drop", self.drop, "drop"),)

    async def drop(self, request: Request, form: Form) -> Response:
        self.done += 1
        return Response("done")


@pytest.mark.parametrize("write", [False, True])
async def test_a_console_without_write_refuses_what_changes_a_queue(write: bool) -> None:
    access = Access(write=write)
    access.serve_at(80, "http://console")
    page = OneAction(access)
    app = console_application(access, Renderer(access), [page])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://console"
    ) as browser:
        await browser.get(f"/?token={access.token}")
        response = await browser.post(
            "/drop", data={FORM_TOKEN: access.form_token}, headers=SAME_ORIGIN
        )
    assert page.done == write
    assert response.status_code == (200 if write else 403)
    assert code_of(response) == ("" if write else "read_only")


async def test_an_access_that_is_served_nowhere_yet_answers_nobody() -> None:
    access = Access()
    app = console_application(access, Renderer(access), [])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
    ) as browser:
        assert (await browser.get(f"/?token={access.token}")).status_code == 421


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_no_other_method_does_anything(browser: httpx.AsyncClient, method: str) -> None:
    response = await browser.request(method, "/dead-letters/snapshot", headers=SAME_ORIGIN)
    assert response.status_code == 405


async def test_every_response_forbids_inline_scripts_frames_sniffing_and_caching(
    console: Console, browser: httpx.AsyncClient
) -> None:
    async with console.client() as stranger:
        responses = [
            *[await browser.get(path) for path in (*PAGES, "/static/console.css", "/nothing")],
            await stranger.get("/"),
            await stranger.get("/?token=x"),
            await browser.get("/", headers={"host": "attacker.test"}),
            await browser.post("/dead-letters/snapshot"),
        ]
    for response in responses:
        assert {n: response.headers.get(n) for n in HEADERS} == HEADERS, response.url
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


class References(HTMLParser):
    """Collects what a page loads, and what the policy would forbid in it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loaded += [given[n] or "" for n in ("src", "href", "action") if n in given]
        self.inline += [n for n in given if n.startswith("on") or n == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


async def test_pages_load_nothing_from_elsewhere_and_have_nothing_inline(
    browser: httpx.AsyncClient,
) -> None:
    for path in PAGES:
        parser = References()
        parser.feed((await browser.get(path, follow_redirects=True)).text)
        assert parser.inline == [], path
        assert len(parser.loaded) > 5
        assert all(re.match(r"[/#](?!/)", address) for address in parser.loaded), parser.loaded


async def test_static_files_stay_in_their_folder(browser: httpx.AsyncClient) -> None:
    for path in ("/static/../access.py", "/static/%2e%2e/access.py", "/static//etc/passwd"):
        assert (await browser.get(path)).status_code == 404, path


PROXY = "https://ops.example/relay"


async def test_behind_a_proxy_the_console_answers_to_its_address_and_path_only(
    tmp_path: Path, console: Console, stack: AsyncExitStack
) -> None:
    proxied = await stack.enter_async_context(
        serving(console.queues, tmp_path / "proxied", base_url=PROXY)
    )
    assert proxied.address.startswith(f"{PROXY}/?token=")
    token = proxied.address.partition("token=")[2]
    own = {"host": "ops.example"}
    async with httpx.AsyncClient(base_url=proxied.socket, trust_env=False) as browser:
        signed_in = await browser.get(f"/relay/?token={token}", headers=own)
        assert signed_in.headers["location"] == "/relay/"
        cookie = signed_in.headers["set-cookie"]
        assert "Secure" in cookie
        assert "Path=/relay" in cookie
        with_cookie = own | {"cookie": cookie.partition(";")[0]}
        page = await browser.get("/relay/dead-letters", headers=with_cookie)
        assert page.status_code == 200
        assert 'action="/relay/dead-letters/snapshot"' in page.text
        assert (await browser.get("/relay/static/console.css", headers=own)).status_code == 200
        assert (await browser.get("/dead-letters", headers=with_cookie)).status_code == 404
        forged = {**with_cookie, "host": "attacker.test", "x-forwarded-host": "ops.example"}
        assert (await browser.get("/relay/", headers=forged)).status_code == 421
        data = {FORM_TOKEN: form_token(page.text)}
        action = "/relay/dead-letters/snapshot"
        elsewhere = {**with_cookie, "origin": "https://other.example"}
        assert (await browser.post(action, data=data, headers=elsewhere)).status_code == 403
        here = {**with_cookie, "origin": "https://ops.example"}
        assert (await browser.post(action, data=data, headers=here)).status_code == 303
