"""`relay gateway key`: keys in a file and in AWS's stores, and their misuse."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import boto3  # type: ignore[import-untyped] # ships no types
import pytest

from relay.gateway.key_document import KeyDocument
from relay.gateway.key_store import read_key_store
from relay.gateway.keys import find_key
from tests.cli.conftest import Relay


async def test_a_new_key_is_printed_once_and_works(relay: Relay, tmp_path: Path) -> None:
    store = tmp_path / "keys.json"
    made = await relay(
        *("gateway", "key", "new", "billing", "--event", "billing/*", "--rate", "100"),
        *("--store", str(store)),
    )
    assert made.code == 0, made.err
    key = made.out.strip()
    found = find_key(read_key_store(store.read_bytes()).valid(), key)
    assert found is not None
    assert (found.name, found.events, found.rate) == ("billing", ("billing/*",), 100)
    assert key not in made.err + store.read_text()
    assert stat.S_IMODE(store.stat().st_mode) == 0o600


async def test_the_list_shows_limits_and_revocations(relay: Relay, tmp_path: Path) -> None:
    store = str(tmp_path / "keys.json")
    await relay("gateway", "key", "new", "web", RELAY_GATEWAY_KEY_STORE=store)
    await relay("gateway", "key", "new", "billing", "--rate", "5", RELAY_GATEWAY_KEY_STORE=store)
    revoked = await relay("gateway", "key", "revoke", "web", RELAY_GATEWAY_KEY_STORE=store)
    assert revoked.out == f"revoked the key web in {store}\n"
    listed = await relay("gateway", "key", "list", RELAY_GATEWAY_KEY_STORE=store)
    header, web, billing = listed.out.splitlines()
    assert header.split() == ["name", "events", "rate", "request", "bytes", "made", "revoked"]
    assert web.split()[:3] == ["web", "any", "-"]
    assert web.endswith("Z")
    assert billing.split()[:3] == ["billing", "any", "5/s"]
    assert billing.endswith("-")
    as_json = await relay("gateway", "key", "list", "--json", RELAY_GATEWAY_KEY_STORE=store)
    assert [key["name"] for key in json.loads(as_json.out)["keys"]] == ["web", "billing"]
    assert "sha256" not in as_json.out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("new", "a b"), 2, "'a b' cannot be a key's name"),
        (("new", "web", "--rate", "0"), 2, "must be greater than 0"),
        (("revoke", "web"), 2, "no valid key is named web: the valid keys are none"),
    ],
)
async def test_each_mistake_is_named(
    relay: Relay, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    result = await relay("gateway", "key", *arguments, "--store", str(tmp_path / "keys.json"))
    assert result.code == code
    assert sentence in result.err
    assert result.out == ""


async def test_without_a_place_for_keys_the_setting_is_named(relay: Relay) -> None:
    result = await relay("gateway", "key", "list")
    assert result.code == 2
    assert "set RELAY_GATEWAY_KEY_STORE, or give --store" in result.err


@pytest.mark.parametrize("content", ["<html>", '{"keys": [{"name": "a"}]}', "\x00"])
async def test_a_file_that_holds_something_else_is_left_alone(
    relay: Relay, tmp_path: Path, content: str
) -> None:
    store = tmp_path / "keys.json"
    store.write_text(content)
    result = await relay("gateway", "key", "new", "web", "--store", str(store))
    assert result.code == 1
    assert "cannot be read: not a document of event keys" in result.err
    assert store.read_text() == content


async def test_a_directory_that_is_not_there_is_named(relay: Relay, tmp_path: Path) -> None:
    result = await relay("gateway", "key", "new", "web", "--store", str(tmp_path / "no" / "k.json"))
    assert result.code == 1
    assert "cannot be written" in result.err
    assert result.out == ""


@pytest.mark.parametrize("parameter", [False, True], ids=["secret", "parameter"])
async def test_keys_can_be_kept_in_aws(
    relay: Relay, moto: str, monkeypatch: pytest.MonkeyPatch, *, parameter: bool
) -> None:
    environment = {
        "AWS_ENDPOINT_URL": moto,
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = boto3.session.Session(region_name="eu-west-1")
    if parameter:
        reference = "ssm:/relay/gateway-keys"
        session.client("ssm").put_parameter(
            Name="/relay/gateway-keys", Value="{}", Type="SecureString", Overwrite=True
        )
    else:
        secrets = session.client("secretsmanager")
        reference = secrets.create_secret(Name="gateway-keys", SecretString="{}")["ARN"]
    made = await relay("gateway", "key", "new", "web", "--store", reference, **environment)
    assert made.code == 0, made.err
    stored = read_key_store(KeyDocument(reference).read())
    assert find_key(stored.valid(), made.out.strip()) is not None
    revoked = await relay("gateway", "key", "revoke", "web", "--store", reference, **environment)
    assert revoked.code == 0, revoked.err
    assert read_key_store(KeyDocument(reference).read()).valid() == {}
