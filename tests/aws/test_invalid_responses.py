"""Another server answers at the address of AWS, with successes that have no content."""

from __future__ import annotations

import pytest

from relay.aws.errors import AwsError
from relay.aws.identity import caller_identity
from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from tests.aws.fixed_response import answering
from tests.aws.test_session import UNSET, USABLE


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in USABLE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("body", [b"{}", b'{"data":[]}'])
async def test_looking_up_a_queue_by_name_raises_an_aws_error(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(200, body) as url, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(AwsError, match="see AWS_ENDPOINT_URL"):
            async with open_queue(session, "main"):
                pass


async def test_a_response_without_attributes_is_not_an_empty_queue(
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
async def test_malformed_attributes_raise_an_aws_error(
    figures: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = b'{"Attributes":' + figures + b"}"
    async with answering(200, answer) as url, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with open_queue(session, f"{url}/1/main") as queue:
            with pytest.raises(AwsError, match="see AWS_ENDPOINT_URL"):
                await queue.attributes()


async def test_an_identity_without_an_arn_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"<GetCallerIdentityResponse/>"
    async with answering(200, answer) as url, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert (await caller_identity(session)).error is not None


async def test_an_address_with_a_password_is_an_error_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:secret@127.0.0.1:1")
    async with open_session() as session:
        found = await caller_identity(session)
    assert found.error is not None
    assert found.date is None
    assert "secret" not in found.error.sentence


async def test_a_missing_profile_is_reported_even_if_the_environment_has_everything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AwsError, match="AWS_PROFILE"):
        async with open_session():
            pass
