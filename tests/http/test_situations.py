"""One suite of situations for every HTTP client of the relay: what servers and networks do."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from tests.destinations.certificates import Authority, Pair, self_signed
from tests.destinations.wire import Answering, Wire, listening
from tests.http.clients import BODY, Got, aws_general
from tests.http.conftest import Open

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
TYPE = b"Content-Type: application/x-amz-json-1.0\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
OK = b"HTTP/1.1 200 OK\r\n" + TYPE + LENGTH + b"\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\n" + TYPE + b"Transfer-Encoding: chunked\r\n\r\n"
    b"5;note=x\r\n"
    + BODY[:5]
    + b"\r\n%x\r\n" % len(BODY[5:])
    + BODY[5:]
    + b"\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
UNMEASURED = b"HTTP/1.1 200 OK\r\n" + TYPE + b"\r\n" + BODY
CLOSING = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
OLD = OK.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
HUGE = OK.replace(b"\r\n", b"\r\nX-Huge: " + b"x" * 2_000_000 + b"\r\n", 1)
CUT = b"HTTP/1.1 200 OK\r\n" + TYPE + LENGTH + b"\r\n" + BODY[:-1]


def saying(answer: bytes, *, whole: bool = True) -> Answering:
    """Answer one request with these bytes, in one piece or byte by byte, and hang up."""

    async def behave(wire: Wire, reader: Reader, writer: Writer) -> None:
        await wire.read(reader)
        for part in [answer] if whole else [answer[i : i + 1] for i in range(len(answer))]:
            writer.write(part)
            await writer.drain()

    return behave


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK, id="measured"),
        pytest.param(CHUNKED, id="chunked"),
        pytest.param(CONTINUED, id="after-interim-responses"),
        pytest.param(UNMEASURED, id="until-the-end"),
        pytest.param(CLOSING, id="closing"),
        pytest.param(OLD, id="http-1.0"),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["at-once", "byte-by-byte"])
async def test_a_valid_answer_is_read(opening: Open, answer: bytes, *, whole: bool) -> None:
    async with (
        listening(behave=saying(answer, whole=whole)) as wire,
        opening(wire.url, None) as ask,
    ):
        assert (await ask()).answered
    assert len(wire.requests) == 1
    assert wire.requests[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize("answer", [b"", CUT, HUGE, b"SSH-2.0-OpenSSH_9\r\n"])
async def test_an_invalid_answer_is_an_outage(opening: Open, answer: bytes) -> None:
    async with listening(behave=saying(answer)) as wire, opening(wire.url, None) as ask:
        got = await ask()
    assert not got.answered
    assert got.transient
    assert len(wire.requests) == 1


@pytest.mark.parametrize(("answer", "connections"), [(OK, 1), (CLOSING, 3)])
async def test_a_connection_is_kept_unless_the_server_closes_it(
    opening: Open, answer: bytes, connections: int
) -> None:
    opened = 0

    async def behave(wire: Wire, reader: Reader, writer: Writer) -> None:
        nonlocal opened
        opened += 1
        while True:
            await wire.read(reader)
            writer.write(answer)
            await writer.drain()

    async with listening(behave=behave) as wire, opening(wire.url, None) as ask:
        for _ in range(3):
            assert (await ask()).answered
    assert opened == connections


async def test_a_redirect_is_not_followed(opening: Open) -> None:
    if opening is aws_general:
        pytest.skip("aiobotocore follows redirects, without the authorization to another origin")
    async with listening() as elsewhere:
        moved = b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: %b/\r\n\r\n"
        async with (
            listening(moved % elsewhere.url.encode()) as wire,
            opening(wire.url, None) as ask,
        ):
            assert not (await ask()).answered
        assert len(wire.requests) == 1
    assert elsewhere.requests == []


async def test_a_refused_connection_is_an_outage(opening: Open, unused_port: int) -> None:
    async with opening(f"http://127.0.0.1:{unused_port}", None) as ask:
        got = await ask()
    assert not got.answered
    assert got.transient


def server(pair: Pair) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


async def asked_over_tls(opening: Open, pair: Pair, ca: Path | None) -> Got:
    async with (
        listening(OK, tls=server(pair)) as wire,
        opening(f"https://localhost:{wire.port}", ca) as ask,
    ):
        return await ask()


async def test_a_private_authority_is_trusted_if_it_is_named(
    opening: Open, authority: Authority
) -> None:
    got = await asked_over_tls(opening, authority.server("localhost"), authority.certificate)
    assert got.answered


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("unknown", "has an issuer that this machine does not trust"),
        ("self-signed", "is self-signed, and this machine does not trust it"),
        ("expired", "has expired, or this machine's clock is wrong"),
        ("early", "is not valid yet, or this machine's clock is wrong"),
        ("name", "is for another name"),
    ],
)
async def test_each_fault_of_a_certificate_has_a_sentence(
    opening: Open, authority: Authority, tmp_path: Path, fault: str, sentence: str
) -> None:
    two = timedelta(hours=2)
    pair = {
        "unknown": lambda: Authority(tmp_path).server("localhost"),
        "self-signed": lambda: self_signed(tmp_path, "localhost"),
        "expired": lambda: authority.server("localhost", since=two, until=-two / 2),
        "early": lambda: authority.server("localhost", since=-two / 2, until=two),
        "name": lambda: authority.server("other.example.com"),
    }[fault]()
    got = await asked_over_tls(opening, pair, authority.certificate)
    assert sentence in got.sentence
    assert not got.transient
    if fault in ("unknown", "self-signed"):
        assert got.setting in ("RELAY_INNGEST_CA_FILE", "AWS_CA_BUNDLE")
        assert str(got.setting) in got.sentence
