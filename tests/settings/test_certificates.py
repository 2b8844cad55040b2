"""Certificates' files that could not be used are named before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.settings.checks import missing
from relay.settings.loading import load
from tests.destinations import certificates
from tests.destinations.certificates import Certificates

NEEDED = {
    "RELAY_DESTINATION": "webhook",
    "RELAY_WEBHOOK_URL": "https://hooks.example.com/a",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.made(tmp_path_factory.mktemp("certificates"))


def told(**files: Path | str) -> list[str]:
    variables = {f"RELAY_WEBHOOK_{name.upper()}": str(path) for name, path in files.items()}
    loaded = load({**NEEDED, **variables})
    assert loaded.mistakes == ()
    return missing(loaded.settings)


def test_files_that_fit_are_not_mentioned(made: Certificates) -> None:
    pair = {"cert_file": made.client.certificate, "key_file": made.client.key}
    assert told(**pair, ca_file=made.authority) == []


def test_a_file_that_is_not_there_is_named_with_its_setting(made: Certificates) -> None:
    (authority,) = told(ca_file="/nowhere/ca.pem")
    assert authority.startswith("RELAY_WEBHOOK_CA_FILE is not a readable file")
    assert "no such file" in authority
    (pair,) = told(cert_file=made.client.certificate, key_file="/nowhere/key.pem")
    assert "RELAY_WEBHOOK_KEY_FILE" in pair


def test_files_that_are_no_pair_are_named(made: Certificates) -> None:
    (pair,) = told(cert_file=made.client.certificate, key_file=made.server.key)
    assert "key values mismatch" in pair
    (empty,) = told(cert_file=made.client.key, key_file=made.client.key)
    assert "not a certificate and its private key" in empty
    (alone,) = told(cert_file=made.client.certificate)
    assert "go together" in alone
    (garbage,) = told(ca_file=made.client.key)
    assert "RELAY_WEBHOOK_CA_FILE" in garbage


def test_another_destinations_files_are_nobodys_business() -> None:
    loaded = load({**NEEDED, "RELAY_TEMPORAL_CA_FILE": "/nowhere/ca.pem"})
    assert missing(loaded.settings) == []
