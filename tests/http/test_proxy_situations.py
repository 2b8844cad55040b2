"""Proxies, in the suite of situations for every HTTP client: named by the environment alone."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.http.proxy_variables import agree_on_proxies, go_direct
from tests.destinations.certificates import Authority
from tests.destinations.wire import Wire, listening
from tests.http.clients import Got
from tests.http.conftest import Open
from tests.http.proxy import TestProxy, proxying
from tests.http.test_situations import OK, server

HOST = "sqs.relay.test"
"""A name that only the proxy resolves."""

SECRET = "p/ss:w@rd#1"
QUOTED = "p%2Fss:w%40rd%231"


@asynccontextmanager
async def behind(
    scheme: str, authority: Authority, login: str = "", refusal: int = 0
) -> AsyncIterator[tuple[Wire, TestProxy, str]]:
    """A server, the only proxy that reaches it, and its URL."""
    tls: ssl.SSLContext | None = None
    if scheme == "https":
        tls = server(authority.server(HOST))
    async with listening(OK, tls=tls) as wire, proxying(wire.port, login, refusal) as proxy:
        yield wire, proxy, f"{scheme}://{HOST}:{wire.port}"


async def asked(opening: Open, url: str, authority: Authority, times: int = 1) -> Got:
    agree_on_proxies()
    async with opening(url, authority.certificate) as ask:
        found = [await ask() for _ in range(times)]
    return found[-1]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("variable", ["{}_proxy", "{}_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("prefix", ["", "http://"], ids=["as-curl", "url"])
async def test_the_environment_names_the_proxy(
    opening: Open, authority: Authority, scheme: str, variable: str, prefix: str
) -> None:
    name = variable.format(scheme.upper() if variable.endswith("PROXY") else scheme)
    async with behind(scheme, authority) as (wire, proxy, url):
        os.environ[name] = f"{prefix}127.0.0.1:{proxy.port}"
        assert (await asked(opening, url, authority, 2)).answered
    assert proxy.hosts == [("CONNECT" if scheme == "https" else "POST", HOST)]
    assert {headers["host"] for _, headers, _ in wire.requests} == {url.partition("://")[2]}
    assert "proxy-authorization" not in wire.requests[0][1]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_password_is_sent_to_the_proxy_alone(
    opening: Open, authority: Authority, scheme: str
) -> None:
    async with behind(scheme, authority, f"us er:{SECRET}") as (wire, proxy, url):
        os.environ["ALL_PROXY"] = f"http://us%20er:{QUOTED}@127.0.0.1:{proxy.port}"
        assert (await asked(opening, url, authority)).answered
    assert "proxy-authorization" not in wire.requests[0][1]


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ("", "demands a password: add user and password to HTTPS_PROXY"),
        ("user:wrong-one@", "does not accept the user and password in HTTPS_PROXY"),
    ],
)
async def test_a_refused_password_names_the_variable(
    opening: Open, authority: Authority, login: str, sentence: str
) -> None:
    async with behind("https", authority, f"user:{SECRET}") as (wire, proxy, url):
        os.environ["HTTPS_PROXY"] = f"http://{login}127.0.0.1:{proxy.port}"
        got = await asked(opening, url, authority)
    assert sentence in got.sentence
    assert got.setting == "HTTPS_PROXY"
    assert not got.transient
    assert "wrong-one" not in got.sentence
    assert wire.requests == []


@pytest.mark.parametrize(
    ("status", "sentence", "transient"),
    [(403, "does not allow connections to", False), (502, "cannot reach", True)],
)
async def test_what_a_proxy_refuses(
    opening: Open, authority: Authority, status: int, sentence: str, *, transient: bool
) -> None:
    async with behind("https", authority, refusal=status) as (_, proxy, url):
        os.environ["HTTPS_PROXY"] = f"127.0.0.1:{proxy.port}"
        got = await asked(opening, url, authority)
    assert sentence in got.sentence
    assert got.transient == transient
    assert got.setting == (None if transient else "HTTPS_PROXY")


async def test_a_proxy_that_is_down_is_an_outage(
    opening: Open, authority: Authority, unused_port: int
) -> None:
    os.environ["HTTPS_PROXY"] = f"user:{SECRET}@127.0.0.1:{unused_port}"
    got = await asked(opening, f"https://{HOST}", authority)
    assert f"127.0.0.1:{unused_port} (HTTPS_PROXY) refuses connections" in got.sentence
    assert got.transient
    assert SECRET not in got.sentence


async def test_what_speaks_no_http_is_an_outage(opening: Open, authority: Authority) -> None:
    async def greet(_: Wire, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is a mail server\r\n")

    async with listening(behave=greet) as wire:
        os.environ["HTTPS_PROXY"] = f"127.0.0.1:{wire.port}"
        got = await asked(opening, f"https://{HOST}", authority)
    assert not got.answered
    assert got.transient


async def test_a_wrong_certificate_behind_a_proxy_is_named(
    opening: Open, authority: Authority
) -> None:
    async with (
        listening(OK, tls=server(authority.server("other.example.com"))) as wire,
        proxying(wire.port) as proxy,
    ):
        os.environ["HTTPS_PROXY"] = f"127.0.0.1:{proxy.port}"
        got = await asked(opening, f"https://{HOST}", authority)
    assert "is for another name" in got.sentence


@pytest.mark.parametrize("excluded", ["*", "localhost", ".localhost", "", None])
async def test_what_is_excluded_is_reached_directly(
    opening: Open, authority: Authority, unused_port: int, excluded: str | None
) -> None:
    """This machine is always excluded."""
    os.environ["HTTP_PROXY"] = os.environ["HTTPS_PROXY"] = f"127.0.0.1:{unused_port}"
    if excluded is not None:
        os.environ["NO_PROXY"] = excluded
    async with listening(OK, tls=server(authority.server("localhost"))) as wire:
        assert (await asked(opening, f"https://localhost:{wire.port}", authority)).answered


async def test_going_direct_uses_no_proxy(
    opening: Open, authority: Authority, unused_port: int
) -> None:
    async with behind("https", authority) as (_, proxy, _url):
        os.environ["HTTPS_PROXY"] = f"127.0.0.1:{proxy.port}"
        go_direct()
        async with opening(f"https://127.0.0.1:{unused_port}", authority.certificate) as ask:
            assert not (await ask()).answered
    assert proxy.hosts == []
