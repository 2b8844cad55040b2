"""Certificate files that cannot be used are reported before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.settings.loading import load
from relay.settings.missing import missing
from tests.destinations import certificates
from tests.destinations.certificates import Certificates

WEBHOOK = {
    "RELAY_DESTINATION": "webhook",
    "RELAY_WEBHOOK_URL": "https://hooks.example.com/a",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.made(tmp_path_factory.mktemp("certificates"))


def missing_with(**files: Path | str) -> list[str]:
    variables = {f"RELAY_WEBHOOK_{name.upper()}": str(path) for name, path in files.items()}
    loaded = load({**WEBHOOK, **variables})
    assert loaded.errors == ()
    return missing(loaded.settings)


def test_usable_files_are_not_reported(made: Certificates) -> None:
    pair = {"cert_file": made.client.certificate, "key_file": made.client.key}
    assert missing_with(**pair, ca_file=made.authority) == []


def test_a_file_that_does_not_exist_is_reported_with_its_setting(made: Certificates) -> None:
    (authority,) = missing_with(ca_file="/nowhere/ca.pem")
    assert authority.startswith("RELAY_WEBHOOK_CA_FILE is not a readable file")
    assert "no such file" in authority
    (pair,) = missing_with(cert_file=made.client.certificate, key_file="/nowhere/key.pem")
    assert "RELAY_WEBHOOK_KEY_FILE" in pair


def test_files_that_are_not_a_pair_are_reported(made: Certificates) -> None:
    (pair,) = missing_with(cert_file=made.client.certificate, key_file=made.server.key)
    assert "key values mismatch" in pair
    (empty,) = missing_with(cert_file=made.client.key, key_file=made.client.key)
    assert "not a certificate and its private key" in empty
    (alone,) = missing_with(cert_file=made.client.certificate)
    assert "go together" in alone
    (garbage,) = missing_with(ca_file=made.client.key)
    assert "RELAY_WEBHOOK_CA_FILE" in garbage


def test_files_of_an_unused_destination_are_not_checked() -> None:
    loaded = load({**WEBHOOK, "RELAY_TEMPORAL_CA_FILE": "/nowhere/ca.pem"})
    assert missing(loaded.settings) == []
