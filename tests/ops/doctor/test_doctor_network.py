"""`relay doctor` names in one sentence what is wrong between this machine and a destination."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest

from tests.destinations.certificates import Authority
from tests.destinations.wire import http, listening
from tests.http.proxy import proxying
from tests.http.test_situations import server
from tests.ops.doctor.conftest import Deployment, run

CA = {
    "inngest": "RELAY_INNGEST_CA_FILE",
    "prefect": "RELAY_PREFECT_CA_FILE",
    "argo": "RELAY_ARGO_CA_FILE",
    "webhook": "RELAY_WEBHOOK_CA_FILE",
    "bullmq": "RELAY_BULLMQ_CA_FILE",
    "temporal": "RELAY_TEMPORAL_CA_FILE",
}
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            os.environ.pop(name, None)
            os.environ.pop(name.upper(), None)
        yield


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def settings(name: str, host: str, port: int) -> dict[str, str]:
    url = f"https://{host}:{port}"
    return {
        "RELAY_DESTINATION": name,
        "RELAY_WEBHOOK_ALLOW_PRIVATE": "true",
        "RELAY_TEMPORAL_TLS": "true",
        "RELAY_TEMPORAL_WORKFLOW": "w",
        "RELAY_TEMPORAL_TASK_QUEUE": "q",
        "RELAY_PREFECT_DEPLOYMENT": "a/b",
        "RELAY_ARGO_TEMPLATE": "t",
        "RELAY_BULLMQ_QUEUE": "q",
    } | {
        "inngest": {"RELAY_INNGEST_URL": url},
        "prefect": {"RELAY_PREFECT_API_URL": url},
        "argo": {"RELAY_ARGO_URL": url},
        "webhook": {"RELAY_WEBHOOK_URL": f"{url}/hook"},
        "bullmq": {"RELAY_BULLMQ_URL": f"rediss://{host}:{port}"},
        "temporal": {"RELAY_TEMPORAL_ADDRESS": f"{host}:{port}"},
    }[name]


async def doctor(deployment: Deployment, **variables: str) -> str:
    """What an operator reads, without line breaks."""
    result = await run("doctor", **{**deployment.settings, **variables})
    return " ".join(result.out.split())


@pytest.mark.parametrize("name", list(CA))
async def test_a_private_authority_is_named_and_then_trusted(
    deployment: Deployment, authority: Authority, name: str
) -> None:
    async with listening(http(404), tls=server(authority.server("localhost"))) as wire:
        where = settings(name, "localhost", wire.port)
        unknown = await doctor(deployment, **where)
        known = await doctor(deployment, **where, **{CA[name]: str(authority.certificate)})
        by_variable = await doctor(deployment, **where, SSL_CERT_FILE=str(authority.certificate))
    sentence = "has an issuer that this machine does not trust"
    assert f"{sentence}: set {CA[name]} to the file" in unknown
    assert sentence not in known
    assert sentence not in by_variable
    assert "accepts connections, directly" in known or name == "inngest"


@pytest.mark.parametrize("name", ["inngest", "prefect"])
async def test_expired_and_wrong_certificates_are_told_apart(
    deployment: Deployment, authority: Authority, name: str
) -> None:
    trusted = {CA[name]: str(authority.certificate)}
    expired = authority.server("localhost", since=2 * HOUR, until=-HOUR)
    for pair, sentence in (
        (expired, "has expired, or this machine's clock is wrong"),
        (authority.server("other.example.com"), "is for another name"),
    ):
        async with listening(http(404), tls=server(pair)) as wire:
            where = settings(name, "localhost", wire.port)
            assert sentence in await doctor(deployment, **where, **trusted)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE"])
async def test_a_file_without_certificates_is_named(
    deployment: Deployment, tmp_path: Path, variable: str
) -> None:
    where = settings("prefect", "localhost", 1)
    empty = tmp_path / "empty"
    empty.mkdir() if variable == "SSL_CERT_DIR" else empty.touch()
    for path in (empty, tmp_path / "missing"):
        assert variable in await doctor(deployment, **where, **{variable: str(path)})


@pytest.mark.parametrize("name", ["inngest", "argo"])
async def test_a_proxy_that_demands_a_password_is_named(
    deployment: Deployment, authority: Authority, name: str
) -> None:
    trusted = {CA[name]: str(authority.certificate)}
    async with (
        listening(http(404), tls=server(authority.server("api.relay.test"))) as wire,
        proxying(wire.port, "me:s3cret-word") as proxy,
    ):
        where = settings(name, "api.relay.test", wire.port) | trusted
        at = f"127.0.0.1:{proxy.port}"
        refused = await doctor(deployment, **where, HTTPS_PROXY=at)
        wrong = await doctor(deployment, **where, HTTPS_PROXY=f"me:an0ther-word@{at}")
        right = await doctor(deployment, **where, HTTPS_PROXY=f"me:s3cret-word@{at}")
        assert proxy.hosts
        off = await doctor(deployment, **where, HTTPS_PROXY=at, RELAY_PROXY="off")
    assert "demands a password: add user and password to HTTPS_PROXY" in refused
    assert "does not accept the user and password in HTTPS_PROXY" in wrong
    assert "an0ther-word" not in wrong
    assert "HTTPS_PROXY:" not in right
    assert "does not resolve" in off


async def test_a_socks_proxy_is_refused(deployment: Deployment) -> None:
    where = settings("inngest", "api.relay.test", 443)
    socks = {"ALL_PROXY": "socks5://me:s3cret-word@127.0.0.1:1080"}
    out = await doctor(deployment, **where, **socks)
    assert "ALL_PROXY names a SOCKS proxy, which the relay cannot use" in out
    assert "nothing is sent to Inngest: ALL_PROXY" in out
    assert "s3cret-word" not in out
    traced = await run("trace", "e-1", **{**deployment.settings, **where, **socks})
    assert traced.code == 2
    assert "ALL_PROXY names a SOCKS proxy" in traced.err


async def test_a_destination_that_is_down_or_unknown_is_named(deployment: Deployment) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        where = settings("argo", "localhost", unused.getsockname()[1])
        assert "localhost refuses connections" in await doctor(deployment, **where)
    where = settings("argo", "nowhere.invalid", 443)
    out = await doctor(deployment, **where)
    assert "the name nowhere.invalid does not resolve" in out
    assert "check RELAY_ARGO_URL" in out
