"""The document of event keys: what it holds, how it changes, and how each mistake is named."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.gateway.key_document import KeyDocument
from relay.gateway.key_store import (
    BadKeyStore,
    KeyStore,
    StoredKey,
    new_key,
    read_key_store,
    write_key_store,
)
from relay.gateway.keys import find_key
from tests.mutations import mutations

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_new_key_is_found_by_its_text_and_stored_as_a_hash() -> None:
    text, key = new_key("billing", events=("billing/*",), rate=10, max_request_bytes=1_000)
    store = read_key_store(write_key_store(KeyStore().with_new(key)))
    found = find_key(store.valid(), text)
    assert found is not None
    assert (found.name, found.rate, found.max_request_bytes) == ("billing", 10, 1_000)
    assert found.allows("billing/paid")
    assert not found.allows("other/paid")
    assert text not in write_key_store(store)
    assert find_key(store.valid(), text + "x") is None


def test_two_new_keys_are_different_and_fit_into_an_address() -> None:
    first, second = new_key("a")[0], new_key("a")[0]
    assert first != second
    assert set(first) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_a_revoked_key_is_kept_and_not_found() -> None:
    text, key = new_key("billing")
    store = KeyStore().with_new(key).with_revoked("billing", NOW)
    assert find_key(store.valid(), text) is None
    assert store.keys[0].revoked_at == NOW


def test_the_name_of_a_revoked_key_can_be_used_again() -> None:
    store = KeyStore().with_new(new_key("billing")[1]).with_revoked("billing", NOW)
    text, key = new_key("billing")
    again = store.with_new(key).with_revoked("billing", NOW)
    assert find_key(store.with_new(key).valid(), text) is not None
    assert again.valid() == {}


def test_a_name_that_is_taken_is_refused() -> None:
    store = KeyStore().with_new(new_key("billing")[1])
    with pytest.raises(BadKeyStore, match="there is a key named billing"):
        store.with_new(new_key("billing")[1])


def test_revoking_an_unknown_key_lists_the_valid_ones() -> None:
    store = KeyStore().with_new(new_key("billing")[1])
    with pytest.raises(BadKeyStore, match="the valid keys are billing"):
        store.with_revoked("biling", NOW)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (StoredKey(name="a b", sha256="0" * 64), "'a b' cannot be a key's name"),
        (StoredKey(name="a", sha256="0" * 63), "has no SHA-256"),
        (StoredKey(name="a", sha256="0" * 64, rate=0), "must be greater than 0"),
        (StoredKey(name="a", sha256="0" * 64, rate=float("nan")), "must be greater than 0"),
        (StoredKey(name="a", sha256="0" * 64, max_request_bytes=0), "must be greater than 0"),
    ],
)
def test_an_impossible_key_is_refused(key: StoredKey, sentence: str) -> None:
    with pytest.raises(BadKeyStore, match=sentence):
        KeyStore().with_new(key)


WHOLE = {
    "keys": [
        {
            "name": "billing",
            "sha256": hashlib.sha256(b"a").hexdigest(),
            "events": ["billing/*"],
            "rate": 10.5,
            "max_request_bytes": 1_000,
            "created_at": "2026-11-30T12:00:00Z",
            "revoked_at": "2026-11-30T13:00:00Z",
        },
        {"name": "web", "sha256": hashlib.sha256(b"b").hexdigest()},
    ]
}


def test_every_mutation_is_read_or_refused() -> None:
    for text in mutations(WHOLE):
        _read(text)


@given(st.one_of(st.binary(), st.text()))
def test_any_text_is_read_or_refused(text: bytes | str) -> None:
    _read(text)


def _read(text: bytes | str) -> None:
    try:
        store = read_key_store(text)
    except BadKeyStore as error:
        sentence = str(error)
        if not sentence:
            pytest.fail("a refusal without a sentence")
    else:
        store.valid()


def test_a_document_in_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    document = KeyDocument(str(tmp_path / "keys.json"))
    document.write("one")
    document.write("two")
    assert document.read() == b"two"
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_the_gateways_user_stays_that_users_when_root_changes_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    document = KeyDocument(str(path))
    document.write("one")
    os.chown(path, 4711, -1)
    document.write("two")
    found = path.stat()
    assert (found.st_uid, found.st_mode & 0o777, document.read()) == (4711, 0o600, b"two")


def test_commands_at_the_same_time_lose_no_key(tmp_path: Path) -> None:
    document = KeyDocument(str(tmp_path / "keys.json"))
    document.write("")

    def add(name: str) -> None:
        with document.locked():
            store = read_key_store(document.read())
            document.write(write_key_store(store.with_new(new_key(name)[1])))

    threads = [threading.Thread(target=add, args=(f"key-{n}",)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(document.read())["keys"]) == len(threads)
