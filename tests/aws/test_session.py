"""Misconfigurations of this machine: each error names the environment variable to check."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from relay.aws.errors import AwsError
from relay.aws.session import open_session
from relay.aws.sqs import open_queue

USABLE = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
UNSET = ("AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE")
NO_CERTIFICATES = str(Path(__file__))


NAME = "main"
URL = "https://sqs.us-east-1.amazonaws.com/1/main"


@pytest.mark.parametrize(
    ("queue", "variable", "value"),
    [
        (NAME, "AWS_REGION", ""),
        (NAME, "AWS_REGION", "us east 1"),
        *(
            (queue, variable, value)
            for queue in (NAME, URL)
            for variable, value in (
                ("AWS_PROFILE", "nobody"),
                ("AWS_ENDPOINT_URL_SQS", "localhost:9324"),
                ("AWS_ENDPOINT_URL_SQS", "http://local host"),
                ("AWS_ENDPOINT_URL_SQS", "http://localhost:99999"),
                ("AWS_ENDPOINT_URL_SQS", "ftp://localhost"),
                ("AWS_CA_BUNDLE", "/nonexistent"),
                ("AWS_CA_BUNDLE", NO_CERTIFICATES),
            )
        ),
    ],
)
async def test_the_misconfigured_variable_is_named(
    queue: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, text in {**USABLE, variable: value}.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(AwsError, match=variable) as caught:
        async with open_session() as session, open_queue(session, queue):
            pass
    assert caught.value.kind == "misconfigured"
    assert caught.value.variable == variable


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "ca_bundle of the AWS profile"])
async def test_certificates_that_do_not_exist_are_named_with_their_origin(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nca_bundle = /nonexistent.pem\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    if variable == "AWS_CA_BUNDLE":
        monkeypatch.setenv(variable, "/nonexistent.pem")
    async with open_session() as session:
        with pytest.raises(AwsError) as caught:
            session.tls_context()
    assert caught.value.sentence == (
        f"{variable} names no certificates: /nonexistent.pem (no such file or directory)"
    )
    assert caught.value.variable == variable


@pytest.mark.parametrize("queue", [NAME, URL])
async def test_a_name_that_does_not_resolve_is_named(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, text in {**USABLE, "AWS_ENDPOINT_URL": "https://sqs.relay.invalid"}.items():
        monkeypatch.setenv(name, text)

    def unknown(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(AwsError, match=r"the name sqs\.relay\.invalid does not resolve") as caught:
        async with open_session() as session, open_queue(session, queue) as opened:
            await opened.attributes()
    assert caught.value.transient


IMPORTED = """
import asyncio, sys
import relay.cli.poll, relay.cli.serve, relay.app.aws_lambda
from relay.aws.session import open_session

async def main():
    async with open_session() as session:
        await session.credentials()
        await session.locate("sqs")
        await session.locate("cloudwatch")

asyncio.run(main())
print(sorted({"aiobotocore", "aiohttp"} & sys.modules.keys()))
"""


async def test_a_relay_starts_without_the_general_client() -> None:
    """It takes 18 MB and a quarter of a second to import."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", IMPORTED, env={**os.environ, **USABLE}, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert printed == b"[]\n"
