"""Somebody else answers at the address of AWS, kindly and without sense."""

from __future__ import annotations

import pytest

from relay.aws.errors import AwsError
from relay.aws.identity import caller_identity
from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from tests.aws.fixed_response import answering
from tests.aws.test_session import UNSET, USABLE


@pytest.fixture(autouse=True)
def _usable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, usable in USABLE.items():
        monkeypatch.setenv(name, usable)


@pytest.mark.parametrize("body", [b"{}", b'{"data":[]}'])
async def test_a_queue_by_name_is_an_error_and_not_a_crash(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(200, body) as url, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(AwsError, match="see AWS_ENDPOINT_URL"):
            async with open_queue(session, "main"):
                pass


async def test_a_queue_without_attributes_is_no_empty_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering(200, b"{}") as url, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with open_queue(session, f"{url}/1/main") as queue:
            with pytest.raises(AwsError, match="see AWS_ENDPOINT_URL"):
                await queue.attributes()


@pytest.mark.parametrize(
    "figures",
    [
        b'{"MessageRetentionPeriod":"soon"}',
        b'{"MessageRetentionPeriod":null}',
        b'{"RedrivePolicy":"{"}',
        b'{"RedrivePolicy":"{}"}',
        b'{"RedrivePolicy":"[]"}',
        b'["MessageRetentionPeriod"]',
    ],
)
async def test_figures_that_are_none_are_an_error_and_do_not_end_who_asks(
    figures: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = b'{"Attributes":' + figures + b"}"
    async with answering(200, answer) as url, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with open_queue(session, f"{url}/1/main") as queue:
            with pytest.raises(AwsError, match="see AWS_ENDPOINT_URL"):
                await queue.attributes()


async def test_an_identity_without_a_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"<GetCallerIdentityResponse/>"
    async with answering(200, answer) as url, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert (await caller_identity(session)).error is not None


async def test_an_address_with_a_password_tells_no_time_and_does_not_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:secret@127.0.0.1:1")
    async with open_session() as session:
        found = await caller_identity(session)
    assert found.error is not None
    assert found.date is None
    assert "secret" not in found.error.sentence


async def test_a_profile_that_does_not_exist_is_found_where_the_environment_has_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AwsError, match="AWS_PROFILE"):
        async with open_session():
            pass
