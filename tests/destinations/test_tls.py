"""A failed TLS handshake is either an outage of the destination or a misconfiguration."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pytest

from relay.destinations.http_endpoint import HttpEndpoint
from relay.destinations.inngest.event_api import Inngest
from relay.model.destination import Unavailable
from relay.model.event import Event
from tests.destinations import certificates
from tests.destinations.certificates import Certificates
from tests.destinations.wire import Answering, Wire, listening

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
URLS = {"inngest": "RELAY_INNGEST_URL", "endpoint": "RELAY_PREFECT_API_URL"}
EVENT = Event(id="e-1", name="order/placed", data=b"{}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.made(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=list(URLS))
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def sent(client: str, url: str, timeout: float) -> None:
    async def key() -> str:
        return "key"

    if client == "inngest":
        async with Inngest(url, key, timeout=timeout) as destination:
            await destination.send([EVENT])
    else:
        async with HttpEndpoint(url, URLS[client], timeout=timeout) as endpoint:
            await endpoint.request("POST", "/", {})


async def refusal(client: str, behave: Answering, timeout: float = 10.0) -> Unavailable:
    """The error of this client with a server that behaves like this."""
    async with listening(behave=behave) as wire:
        with pytest.raises(Unavailable) as caught:
            await sent(client, f"https://localhost:{wire.port}", timeout)
    assert (caught.value.proven, caught.value.not_accepted) == (True, True)
    return caught.value


async def shake(context: ssl.SSLContext, _wire: Wire, reader: Reader, writer: Writer) -> None:
    """A handshake with OpenSSL's own alerts, which asyncio's server does not send."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while not incoming.eof:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            data = await reader.read(65_536)
            incoming.write(data) if data else incoming.write_eof()
        except ssl.SSLError:
            writer.write(outgoing.read())
            await writer.drain()
            return


async def say(words: bytes, _wire: Wire, reader: Reader, writer: Writer) -> None:
    """Read the client's hello, send these bytes and close the connection."""
    await reader.read(65_536)
    writer.write(words)
    await writer.drain()


async def hang(_wire: Wire, _reader: Reader, _writer: Writer) -> None:
    await asyncio.Event().wait()


def context(made: Certificates, alert: int | None = None) -> ssl.SSLContext:
    """A server's TLS context that answers every hello with this alert."""
    found = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    found.load_cert_chain(made.server.certificate, made.server.key)
    if alert is not None:
        found.sni_callback = lambda *_: alert
    return found


def in_trouble(made: Certificates) -> Answering:
    return partial(shake, context(made, ssl.ALERT_DESCRIPTION_INTERNAL_ERROR))


def of_another_name(made: Certificates) -> Answering:
    return partial(shake, context(made, ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME))


def not_trusted(made: Certificates) -> Answering:
    return partial(shake, context(made))


def without_certificate(_: Certificates) -> Answering:
    return partial(shake, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def saying(words: bytes) -> Callable[[Certificates], Answering]:
    return lambda _: partial(say, words)


CLOSE_NOTIFY = saying(b"\x15\x03\x03\x00\x02\x01\x00")
BAD_RECORD_MAC = saying(b"\x15\x03\x03\x00\x02\x02\x14")
HALF_A_HELLO = saying(b"\x16\x03\x03\x00\x50\x02\x00\x00\x4c\x03\x03")
PLAIN = saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    "server", [in_trouble, saying(b""), CLOSE_NOTIFY, BAD_RECORD_MAC, HALF_A_HELLO]
)
async def test_a_server_that_aborts_the_handshake_is_an_outage(
    server: Callable[[Certificates], Answering], client: str, made: Certificates
) -> None:
    error = await refusal(client, server(made))
    assert error.setting is None
    assert "localhost" in error.reason


async def test_an_internal_tls_error_names_the_url_setting_as_well(
    client: str, made: Certificates
) -> None:
    error = await refusal(client, in_trouble(made))
    assert "INTERNAL_ERROR" in error.reason
    assert URLS[client] in error.reason


async def test_a_handshake_that_hangs_is_an_outage(client: str) -> None:
    assert (await refusal(client, hang, timeout=0.2)).setting is None


@pytest.mark.parametrize("server", [of_another_name, without_certificate, PLAIN])
async def test_a_server_with_the_wrong_tls_halts(
    server: Callable[[Certificates], Answering], client: str, made: Certificates
) -> None:
    error = await refusal(client, server(made))
    assert error.setting == URLS[client]


async def test_an_unknown_issuer_names_the_setting_for_its_certificate(
    client: str, made: Certificates
) -> None:
    error = await refusal(client, not_trusted(made))
    assert error.setting == URLS[client].partition("_API")[0].replace("_URL", "") + "_CA_FILE"
    assert str(error.setting) in error.reason
