"""Names of queues, tables and secrets: a mistake is reported when the settings are loaded."""

from __future__ import annotations

import pytest

from relay.settings.loading import load

PLANTED = "s3cr3t-5c1e"


@pytest.mark.parametrize(
    "value",
    [
        f"http://user:{PLANTED}@127.0.0.1:9324/000000000000/relay",
        f"https://sqs.eu-west-1.amazonaws.com/1/relay?token={PLANTED}",
        f"https://sqs.eu-west-1.amazonaws.com/?token={PLANTED}/relay",
    ],
)
@pytest.mark.parametrize("variable", ["RELAY_QUEUE_URL", "RELAY_DLQ_URL"])
def test_a_password_in_a_queue_url_is_a_mistake_and_not_shown(variable: str, value: str) -> None:
    loaded = load({variable: value})
    (mistake,) = loaded.errors
    assert mistake.startswith(variable)
    assert PLANTED not in f"{mistake}{loaded.settings.queue_url}{loaded.settings.dlq_url}"


@pytest.mark.parametrize("value", ["a table", "x", "http://table", "täble", "a" * 256])
def test_an_impossible_table_name_is_a_mistake(value: str) -> None:
    assert "DynamoDB table" in load({"RELAY_LEDGER_TABLE": value}).errors[0]


@pytest.mark.parametrize(
    "value", ["relay-ledger", "arn:aws:dynamodb:eu-west-1:123456789012:table/relay-ledger"]
)
def test_a_table_is_given_by_name_or_arn(value: str) -> None:
    assert load({"RELAY_LEDGER_TABLE": value}).settings.ledger_table == value


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RELAY_INNGEST_SIGNING_KEY_SECRET", f"signkey-prod-{PLANTED}"),
        ("RELAY_INNGEST_EVENT_KEY_SECRET", f"a key with blanks {PLANTED}"),
        ("RELAY_WEBHOOK_URL_SECRET", f"https://hooks.example.com/{PLANTED}"),
        ("RELAY_BULLMQ_URL_SECRET", f"rediss://relay:{PLANTED}@redis.example.com"),
        ("RELAY_ARGO_TOKEN_SECRET", f"Bearer {PLANTED}"),
        ("RELAY_PREFECT_API_KEY_SECRET", f"user:{PLANTED}"),
    ],
)
def test_a_secret_in_place_of_its_name_is_a_mistake_and_not_shown(
    variable: str, value: str
) -> None:
    loaded = load({variable: value})
    assert f"{variable} must be the name or ARN of a secret" in loaded.errors[0]
    assert PLANTED not in f"{loaded.errors}{loaded.settings}"


@pytest.mark.parametrize(
    "value",
    [
        "relay/event-key",
        "relay/keys#event_key",
        "ssm:/relay/event-key",
        "ssm:relay.key#of field",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:relay/key-AbCdEf#event_key",
        "arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/relay/key",
    ],
)
def test_a_secret_is_given_by_name_arn_or_parameter(value: str) -> None:
    loaded = load({"RELAY_INNGEST_EVENT_KEY_SECRET": value})
    assert loaded.errors == ()
    assert loaded.settings.inngest_event_key_secret == value
