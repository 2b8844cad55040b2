"""The redactor of a process knows the secrets of the settings and of libraries' variables."""

from __future__ import annotations

import pytest

from relay.app.redaction import create_redactor
from relay.settings.loading import load

KEY = "signkey-prod-0123456789abcdef"
PLANTED = "pl4nted/s3cret"
URL = f"http://user:{PLANTED.replace('/', '%2F')}@127.0.0.1:1"
HEADERS = f"x-api-key: {PLANTED}; x-env: production; content-type: application/json"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RELAY_PREFECT_API_KEY", PLANTED),
        ("RELAY_WEBHOOK_URL", f"https://hooks.test/{PLANTED}"),
        ("RELAY_WEBHOOK_URL", f"https://hooks.test/in?token={PLANTED}"),
        ("RELAY_WEBHOOK_HEADERS", HEADERS),
        ("RELAY_WEBHOOK_HEADERS", f"authorization: Bearer {PLANTED}"),
        ("RELAY_PREFECT_API_KEY", f"user:{PLANTED}"),
        ("RELAY_ARGO_TOKEN", f"Bearer {PLANTED}"),
        ("RELAY_TEMPORAL_API_KEY", PLANTED),
        ("RELAY_BULLMQ_URL", URL.replace("http", "redis")),
    ],
)
def test_a_secret_of_a_setting_is_known(variable: str, value: str) -> None:
    settings = load({variable: value}).settings
    text = f"refused: {PLANTED}"
    if variable == "RELAY_WEBHOOK_URL" and "token" not in value:
        text = f"refused: /{PLANTED}"
    assert create_redactor(settings, {}).redact_known(text) == "refused: ***"


def test_a_key_of_inngest_is_known_with_and_without_its_prefix() -> None:
    given = {"RELAY_INNGEST_EVENT_KEY": "an-event-key", "RELAY_INNGEST_SIGNING_KEY": KEY}
    redactor = create_redactor(load(given).settings, {})
    assert redactor.redact_known(f"an-event-key {KEY} {KEY[13:]}") == "*** *** ***"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", PLANTED),
        ("AWS_SESSION_TOKEN", PLANTED),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"api-key={PLANTED},x-env=production"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f"authorization=Bearer%20{PLANTED}"),
        ("HTTPS_PROXY", URL),
        ("https_proxy", URL),
        ("AWS_ENDPOINT_URL_SQS", URL),
    ],
)
def test_a_secret_of_another_library_is_known(variable: str, value: str) -> None:
    redactor = create_redactor(None, {variable: value})
    assert redactor.redact_known(f"production: {PLANTED}") == "production: ***"


def test_ordinary_values_stay() -> None:
    loaded = load({"RELAY_WEBHOOK_HEADERS": HEADERS})
    text = "production sends application/json with x-api-key"
    assert (
        create_redactor(loaded.settings, {"PATH": "/usr/bin", "HOME": "/root"}).redact(text) == text
    )
