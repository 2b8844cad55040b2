"""Secrets: looked up in AWS's stores, cached, and looked up again on demand."""

import asyncio
from collections.abc import Callable, Iterator

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # the same

from relay.aws.errors import AwsError, error_from_response
from relay.aws.secrets import Secret, SecretLocation, _translated, parse_secret, read_store

KEY = "key-7c1e55"


class ManualClock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """A store with scripted answers that counts the look-ups."""

    def __init__(self, *answers: str | AwsError) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, location: SecretLocation) -> str:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, AwsError):
            raise answer
        return answer


DOWN = AwsError("ConnectTimeoutError", "connection", "no answer")
DENIED = error_from_response(
    "AccessDeniedException", "no", 400, "secretsmanager:GetSecretValue", "relay/key"
)


async def test_a_value_is_looked_up_once_until_it_expires() -> None:
    clock, store = ManualClock(), Store("first", "second")
    secret = Secret("relay/key", max_age=300, clock=clock, look_up=store)
    assert [await secret.value(), await secret.value()] == ["first", "first"]
    clock.now += 299
    assert await secret.value() == "first"
    clock.now += 2
    assert await secret.value() == "second"
    assert store.asked == 2


async def test_a_refused_value_is_looked_up_again_at_once() -> None:
    clock, store = ManualClock(), Store("old", "rotated")
    secret = Secret("relay/key", clock=clock, look_up=store)
    assert await secret.value() == "old"
    clock.now += 1
    assert await secret.value(fresh=True) == "rotated"
    assert await secret.value() == "rotated"


async def test_concurrent_callers_share_one_look_up() -> None:
    clock, store = ManualClock(), Store("old", "new")
    secret = Secret("relay/key", clock=clock, look_up=store)
    assert set(await asyncio.gather(*(secret.value() for _ in range(20)))) == {"old"}
    clock.now += 1
    assert set(await asyncio.gather(*(secret.value(fresh=True) for _ in range(20)))) == {"new"}
    assert store.asked == 2


async def test_an_expired_value_is_used_while_the_store_cannot_be_reached() -> None:
    clock, store = ManualClock(), Store("old", DOWN, DOWN, "new")
    secret = Secret("relay/key", max_age=300, clock=clock, look_up=store)
    await secret.value()
    clock.now += 301
    assert await secret.value() == "old"
    clock.now += 1
    with pytest.raises(AwsError):
        await secret.value(fresh=True)
    assert await secret.value(fresh=True) == "new"


@pytest.mark.parametrize("error", [DOWN, DENIED])
async def test_without_a_value_the_error_is_raised_and_the_next_caller_looks_up_again(
    error: AwsError,
) -> None:
    secret = Secret("relay/key", look_up=Store(error, "found"))
    with pytest.raises(AwsError):
        await secret.value()
    assert await secret.value() == "found"


async def test_a_revoked_permission_is_raised_although_there_is_an_expired_value() -> None:
    clock = ManualClock()
    secret = Secret("relay/key", clock=clock, look_up=Store("old", DENIED))
    await secret.value()
    clock.now += 301
    with pytest.raises(AwsError, match="grant secretsmanager:GetSecretValue"):
        await secret.value()


@pytest.mark.parametrize(
    ("reference", "location", "region"),
    [
        ("relay/key", SecretLocation("relay/key", None, parameter=False), None),
        ("relay/key#event", SecretLocation("relay/key", "event", parameter=False), None),
        ("ssm:/relay/key", SecretLocation("/relay/key", None, parameter=True), None),
        (
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:relay-AbCdEf#event",
            SecretLocation(
                "arn:aws:secretsmanager:eu-west-1:111122223333:secret:relay-AbCdEf",
                "event",
                parameter=False,
            ),
            "eu-west-1",
        ),
        (
            "arn:aws:ssm:eu-west-2:111122223333:parameter/relay/key",
            SecretLocation(
                "arn:aws:ssm:eu-west-2:111122223333:parameter/relay/key", None, parameter=True
            ),
            "eu-west-2",
        ),
    ],
)
def test_a_reference_is_parsed(
    reference: str, location: SecretLocation, region: str | None
) -> None:
    assert parse_secret(reference) == location
    assert location.region == region


@pytest.fixture(scope="module")
def stores(moto: str) -> Iterator[Callable[[str], str]]:
    """Creates a secret in moto's Secrets Manager or Parameter Store."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_REGION", "eu-central-1")
        patch.setenv("AWS_ENDPOINT_URL", moto)
        secrets = boto3.client("secretsmanager", region_name="eu-central-1")
        count = iter(range(100))

        def put(text: str) -> str:
            return str(secrets.create_secret(Name=f"s{next(count)}", SecretString=text)["ARN"])

        yield put


def test_a_secret_is_read_by_its_arn(stores: Callable[[str], str]) -> None:
    assert read_store(parse_secret(stores(f"{KEY}\n"))) == KEY


def test_a_field_of_a_json_secret_is_read(stores: Callable[[str], str]) -> None:
    arn = stores(f'{{"event": "{KEY}", "other": 1}}')
    assert read_store(parse_secret(f"{arn}#event")) == KEY


@pytest.mark.parametrize("text", [f'"{KEY}"', f' "{KEY}\\n" ', f'{{"event": "{KEY}"}}'])
def test_a_secret_in_json_is_read_if_there_is_only_one_text(
    stores: Callable[[str], str], text: str
) -> None:
    assert read_store(parse_secret(stores(text))) == KEY


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        (f'{{"event": "{KEY}", "other": "{KEY}"}}', "", "name one"),
        ("{}", "", "name one"),
        ('""', "", "empty"),
        (f'{{"event": "{KEY}"}}', "#absent", "absent"),
        (f'{{"event": ["{KEY}"]}}', "#event", "no text in its field"),
        (KEY, "#event", "not a JSON object"),
        (" ", "", "empty"),
    ],
)
def test_a_secret_that_cannot_be_a_key_is_an_error_that_does_not_quote_it(
    stores: Callable[[str], str], text: str, field: str, expected: str
) -> None:
    with pytest.raises(AwsError, match=expected) as caught:
        read_store(parse_secret(f"{stores(text)}{field}"))
    assert KEY not in str(caught.value)


def test_an_encrypted_parameter_is_read_by_its_name(stores: Callable[[str], str]) -> None:
    ssm = boto3.client("ssm", region_name="eu-central-1")
    ssm.put_parameter(Name="/relay/key", Value=KEY, Type="SecureString")
    assert read_store(parse_secret("ssm:/relay/key")) == KEY


@pytest.mark.parametrize("reference", ["absent/key", "ssm:/absent/key"])
def test_a_secret_that_does_not_exist_is_missing(
    stores: Callable[[str], str], reference: str
) -> None:
    # The library double loads for longer than the relay would wait.
    boto3.client("ssm", region_name="eu-central-1").describe_parameters()
    with pytest.raises(AwsError, match="absent/key") as caught:
        read_store(parse_secret(reference))
    assert caught.value.kind == "missing"


def test_a_store_that_cannot_be_reached_is_a_transient_error(
    stores: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(AwsError) as caught:
        read_store(parse_secret("relay/key"))
    assert caught.value.transient


@pytest.mark.parametrize(
    ("reference", "code", "message", "kind", "expected"),
    [
        ("k", "AccessDeniedException", "no", "denied", "grant secretsmanager:GetSecretValue"),
        ("ssm:k", "AccessDeniedException", "no", "denied", "grant ssm:GetParameter"),
        ("k", "AccessDeniedException", "Access to KMS is not allowed", "kms", "grant kms:Decrypt"),
        ("k", "DecryptionFailure", "cannot", "kms", "grant kms:Decrypt"),
        ("k", "ThrottlingException", "slow", "throttled", "throttles"),
    ],
)
def test_a_refusal_names_the_missing_permission(
    reference: str, code: str, message: str, kind: str, expected: str
) -> None:
    refusal = ClientError({"Error": {"Code": code, "Message": message}}, "GetSecretValue")
    error = _translated(refusal, parse_secret(reference))
    assert error.kind == kind
    assert expected in error.sentence
