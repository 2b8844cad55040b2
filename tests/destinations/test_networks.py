"""Destinations behind private authorities and proxies use their setting and the environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from unittest import mock

import pytest

from relay.app.destinations.inngest import inngest_tls, open_inngest, open_reader
from relay.app.destinations.reading import open_inngest as open_queries
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.settings.loading import load
from relay.settings.missing import missing
from tests.destinations.certificates import Authority
from tests.destinations.conformance.setups import opened
from tests.destinations.wire import Wire, api, http, listening
from tests.http.proxy import proxying
from tests.http.test_situations import server

EVENT = Event(id="e-1", name="order/placed", data=b"{}")
HOST = "api.relay.test"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE"):
            os.environ.pop(name, None)
            os.environ.pop(name.upper(), None)
        yield


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("by_variable", [False, True], ids=["setting", "SSL_CERT_FILE"])
async def test_inngest_behind_a_private_authority_is_used_by_all_that_need_it(
    authority: Authority, *, by_variable: bool
) -> None:
    """Delivery, read-back and `relay trace`."""
    where = "SSL_CERT_FILE" if by_variable else "RELAY_INNGEST_CA_FILE"
    trusted = {where: str(authority.certificate)}
    if by_variable:
        os.environ |= trusted
    answer = api(200, ids=["01"], data=[])
    async with listening(answer, tls=server(authority.server("localhost"))) as wire:
        url = {"RELAY_INNGEST_URL": f"https://localhost:{wire.port}", "RELAY_CONFIRM": "off"}
        found = load({} if by_variable else trusted, None).settings
        settings = load({**url, **({} if by_variable else trusted)}).settings
        assert found.inngest_ca_file == settings.inngest_ca_file

        async def key() -> str:
            return "key"

        async with open_inngest(settings, print) as destination:
            await destination.destination.send([EVENT])
        async with open_reader(settings, key, inngest_tls(settings)) as reader:
            assert await reader.page(0.0) == ()
        async with await open_queries(settings) as queries:
            assert (await queries.get("/v1/events")).status == 200
    assert len(wire.requests) == 3


async def test_redis_behind_a_private_authority_is_used(authority: Authority) -> None:
    spoken = asyncio.Event()

    async def listen(
        _wire: Wire, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        if await reader.read(100):
            spoken.set()

    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(
            listening(behave=listen, tls=server(authority.server("localhost")))
        )
        where = {
            "RELAY_BULLMQ_URL": f"rediss://localhost:{wire.port}",
            "RELAY_BULLMQ_QUEUE": "q",
        }
        trusted = {"RELAY_BULLMQ_CA_FILE": str(authority.certificate)}
        destination, _ = await opened(stack, "bullmq", where | trusted)
        with pytest.raises(Unavailable):
            await destination.send([EVENT])
        assert spoken.is_set()
        destination, _ = await opened(stack, "bullmq", where)
        with pytest.raises(Unavailable, match="set RELAY_BULLMQ_CA_FILE to the file") as caught:
            await destination.send([EVENT])
    assert caught.value.setting == "RELAY_BULLMQ_CA_FILE"


@pytest.mark.parametrize(
    ("login", "sentence"),
    [("me:s3cret@", None), ("", "demands a password"), ("me:no@", "password")],
)
async def test_temporal_goes_through_the_proxy(login: str, sentence: str | None) -> None:
    async def hang_up(*_: object) -> None:
        return

    async with listening(behave=hang_up) as wire, proxying(wire.port, "me:s3cret") as proxy:
        os.environ["HTTPS_PROXY"] = f"http://{login}127.0.0.1:{proxy.port}"
        async with AsyncExitStack() as stack:
            where = {
                "RELAY_TEMPORAL_ADDRESS": f"{HOST}:7233",
                "RELAY_TEMPORAL_WORKFLOW": "w",
                "RELAY_TEMPORAL_TASK_QUEUE": "q",
                "RELAY_TEMPORAL_TLS": "true",
            }
            destination, _ = await opened(stack, "temporal", where)
            with pytest.raises(Unavailable) as caught:
                await destination.send([EVENT])
    assert proxy.hosts == ([("CONNECT", HOST)] if sentence is None else [])
    if sentence:
        assert sentence in caught.value.reason
        assert caught.value.setting == "HTTPS_PROXY"


async def test_a_webhook_behind_a_proxy_is_checked_if_it_is_an_address() -> None:
    """The proxy looks names up, so only an address in the URL can be checked."""
    async with listening(http(200)) as wire, proxying(wire.port) as proxy:
        os.environ["HTTP_PROXY"] = f"127.0.0.1:{proxy.port}"
        async with AsyncExitStack() as stack:
            for host in ("10.0.0.1", "127.1", "0xa.1"):
                where = {"RELAY_WEBHOOK_URL": f"http://{host}/hook"}
                destination, _ = await opened(stack, "webhook", where)
                with pytest.raises(Unavailable, match="private address"):
                    await destination.send([EVENT])
            assert proxy.hosts == []
            where = {"RELAY_WEBHOOK_URL": f"http://{HOST}/hook?key=1"}
            destination, _ = await opened(stack, "webhook", where)
            await destination.send([EVENT])
    assert proxy.hosts == [("POST", HOST)]
    assert wire.requests[0][0] == "POST /hook?key=1 HTTP/1.1"


def test_a_bad_variable_is_a_problem_where_it_counts(authority: Authority) -> None:
    os.environ["SSL_CERT_FILE"] = "/nowhere/ca.pem"
    https = {"RELAY_INNGEST_URL": "https://localhost", "RELAY_CONFIRM": "off"}
    (problem,) = missing(load(https).settings)
    assert problem.startswith("SSL_CERT_FILE names no certificates: /nowhere/ca.pem (no such file")
    with_own = https | {"RELAY_INNGEST_CA_FILE": str(authority.certificate)}
    plain = {"RELAY_INNGEST_URL": "http://localhost"}
    assert missing(load(with_own).settings) == missing(load(plain).settings) == []
