"""Every client follows the credentials of its session, wherever these come from."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types

from relay.aws.cloudwatch import put_metrics
from relay.aws.errors import AwsError, translate
from relay.aws.identity import caller_identity
from relay.aws.json_protocol import open_json_client
from relay.aws.s3 import read_object
from relay.aws.session import Session, open_session
from tests.aws.account import NEVER, Account, account
from tests.sources.poller.rig import until

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)

Call = Callable[[Session], Awaitable[object]]


async def s3(session: Session) -> object:
    return await read_object(session, "bucket", "key", 100)


async def cloudwatch(session: Session) -> object:
    await put_metrics(session, "Relay", [{"MetricName": "a", "Value": 1.0}])
    return None


async def step_functions(session: Session) -> object:
    client = await session.client("stepfunctions")
    return await client.list_state_machines()


async def sqs(session: Session) -> object:
    endpoint = (await session.client("sqs")).meta.endpoint_url
    async with open_json_client(session, endpoint, "eu-west-1") as client:
        return await client.call("ReceiveMessage", {}, "main")


CALLS = [s3, cloudwatch, step_functions, sqs]


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Account]:
    """An account, and an environment that has no credentials."""
    async with account() as found:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": found.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        yield found
        found.answering.set()  # or its server would not end


def write_file(directory: Path, key: str) -> None:
    (directory / "credentials").write_text(
        f"[default]\naws_access_key_id={key}\naws_secret_access_key=s\naws_session_token=t\n"
    )


async def refused(call: Call, session: Session) -> AwsError:
    """The error of a call. Where it does not go through a wrapper, it is translated as in one."""
    with pytest.raises((AwsError, ClientError)) as caught:
        await call(session)
    return translate(caught.value, "a call", "a resource")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_rotated_credentials_file_is_read_again(
    call: Call, code: str, aws: Account, tmp_path: Path
) -> None:
    write_file(tmp_path, "KEY1")
    aws.refusal = code
    async with open_session() as session:
        await call(session)
        aws.keys = {"KEY2"}
        write_file(tmp_path, "KEY2")
        error = await refused(call, session)
        assert error.kind in ("expired-credentials", "credentials")
        assert "credentials" in error.sentence
        assert "check AWS_SHARED_CREDENTIALS_FILE" in error.sentence
        await call(session)


@pytest.mark.parametrize("call", CALLS)
async def test_a_client_made_without_credentials_gets_them_later(
    call: Call, aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url)
    aws.handed_out = None
    async with open_session() as session:
        error = await refused(call, session)
        assert error.kind == "credentials"
        assert error.sentence.endswith("check AWS_SHARED_CREDENTIALS_FILE")
        aws.handed_out = "KEY1"
        await call(session)


async def test_one_search_serves_every_client(
    aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    async with open_session() as session:
        for call in CALLS:
            await call(session)
    assert len(aws.asked) == 1


async def test_a_container_gets_them_with_the_token_of_a_file(
    aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """EKS Pod Identity."""
    (tmp_path / "token").write_text("pod-token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    async with open_session() as session:
        await s3(session)
    assert aws.asked == [("/container", "pod-token")]


async def test_a_role_is_assumed_by_web_identity(
    aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("web-token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/relay")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    async with open_session() as session:
        await s3(session)
    assert "WebIdentityToken=web-token" in aws.asked[0][1]


async def test_a_signed_on_user_is_recognised(
    aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """IAM Identity Center (SSO), with the token that `aws sso login` stored."""
    start = "https://example.awsapps.com/start"
    (tmp_path / "config").write_text(
        f"[default]\nsso_start_url={start}\nsso_region=eu-west-1\nsso_account_id=1\n"
        "sso_role_name=relay\n"
    )
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    # The library computed its cache's place when it was imported.
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(cache))
    token = {"accessToken": "sso", "expiresAt": "2099-01-01T00:00:00Z", "startUrl": start}
    name = hashlib.sha1(start.encode(), usedforsecurity=False).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps(token))
    async with open_session() as session:
        await s3(session)
    assert aws.asked[0][0] == "/federation/credentials"


async def test_the_environments_key_wins_over_the_environments_profile(
    aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_file(tmp_path, "KEY2")
    (tmp_path / "config").write_text("[profile other]\nregion=eu-west-1\n")
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    async with open_session() as session:
        assert (await caller_identity(session)).arn == "arn:aws:iam::1:user/KEY1"


@pytest.mark.parametrize(
    "variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
async def test_a_stray_line_end_is_named(
    variable: str, aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "KEY1\n" if name == variable else "KEY1")
    async with open_session() as session:
        for call in CALLS:
            error = await refused(call, session)
            assert (error.kind, error.variable) == ("misconfigured", variable)
    assert aws.requests == []


async def test_a_missing_token_file_is_named(
    aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del aws
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/relay")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "absent"))
    async with open_session() as session:
        error = await refused(s3, session)
    assert error.variable == "AWS_WEB_IDENTITY_TOKEN_FILE"
    assert error.sentence.startswith("AWS_WEB_IDENTITY_TOKEN_FILE names a file that cannot be read")
    assert error.sentence.endswith(" (no such file or directory)")
    assert error.kind == "misconfigured"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
    ],
)
async def test_roles_are_assumed_in_the_region(
    region: str, host: str, aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy sees which host is called: China, for one, has no global STS."""
    del aws
    called = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append((await reader.readline()).split()[1].decode())
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    (tmp_path / "token").write_text("web-token")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/relay")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    async with proxy, open_session() as session:
        await refused(s3, session)
    assert set(called) == {f"{host}:443"}


async def test_credentials_that_stay_expired_are_searched_for_again(
    aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential process may hand out what has already expired."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.expires = "2020-01-01T00:00:00Z"
    async with open_session() as session:
        error = await refused(s3, session)
        assert error.kind == "expired-credentials"
        aws.expires = NEVER
        await s3(session)


async def test_no_call_waits_for_new_credentials_while_the_old_ones_are_valid(
    aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.expires = in_minutes(14)
    async with open_session() as session:
        await sqs(session)
        found = len(aws.asked)
        aws.answering.clear()  # the endpoint no longer answers
        await sqs(session)
        await sqs(session)
        assert len(aws.asked) <= found + 2  # a call that waits makes three attempts


async def test_expired_credentials_are_refreshed_once_for_all_calls(
    aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.expires = in_minutes(5)
    async with open_session() as session:
        await session.credentials()
        found = len(aws.asked)
        aws.expires = NEVER
        await asyncio.gather(*(sqs(session) for _ in range(5)))
    assert len(aws.asked) == found + 1


async def test_a_search_that_hangs_can_be_cancelled(
    aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.answering.clear()
    async with open_session() as session:
        waiting = asyncio.create_task(session.credentials())
        await until(lambda: aws.asked)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    aws.answering.set()


def in_minutes(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
