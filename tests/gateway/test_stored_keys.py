"""Event keys in force follow their document, and survive its absence."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from relay.app.gateway import readiness
from relay.aws.errors import AwsError
from relay.gateway.answers import Refused
from relay.gateway.key_store import KeyStore, new_key, write_key_store
from relay.gateway.keys import FixedKeys, Key
from relay.gateway.stored_keys import REFRESH_UNKNOWN, StoredKeys
from tests.gateway.running import until

DENIED = AwsError("AccessDenied", "denied", "secretsmanager:GetSecretValue is missing")


class Document:
    """A document that may be changed or made unreadable."""

    def __init__(self) -> None:
        self.store = KeyStore()
        self.failure: Exception | None = None
        self.text: bytes | None = None
        self.reads = 0
        self.now = 0.0

    async def read(self) -> bytes:
        """The text."""
        self.reads += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return write_key_store(self.store).encode() if self.text is None else self.text

    def add(self, name: str) -> str:
        """Add a key."""
        text, key = new_key(name)
        self.store = self.store.with_new(key)
        return text

    def keys(self, *fixed: tuple[str, Key]) -> StoredKeys:
        """The keys in force."""
        return StoredKeys(self.read, every=60, fixed=fixed, clock=lambda: self.now)


async def test_a_new_key_is_known_at_its_first_use() -> None:
    document = Document()
    keys = document.keys()
    await keys.refresh()
    text = document.add("billing")
    document.now += REFRESH_UNKNOWN
    found = await keys.find(text)
    assert found is not None
    assert found.name == "billing"


async def test_a_revoked_key_is_unknown_after_the_next_read() -> None:
    document = Document()
    text = document.add("billing")
    keys = document.keys()
    assert await keys.find(text)
    document.store = document.store.with_revoked("billing", datetime.now(UTC))
    await keys.refresh()
    assert await keys.find(text) is None


async def test_without_a_timer_a_revoked_key_is_unknown_to_the_next_request_after_its_time() -> (
    None
):
    document = Document()
    text = document.add("billing")
    keys = document.keys()
    await keys.refresh_if_old()
    document.store = document.store.with_revoked("billing", datetime(2026, 1, 1, tzinfo=UTC))
    document.now += 59
    await keys.refresh_if_old()
    assert await keys.find(text) is not None
    document.now += 1
    await keys.refresh_if_old()
    assert await keys.find(text) is None


async def test_unknown_keys_cause_few_reads() -> None:
    document = Document()
    keys = document.keys()
    await asyncio.gather(*(keys.find(f"unknown-{n}") for n in range(100)))
    assert document.reads == 1
    document.now += REFRESH_UNKNOWN
    await keys.find("unknown")
    assert document.reads == 2


@pytest.mark.parametrize("text", [b"", b" \n"])
async def test_an_emptied_document_changes_nothing(text: bytes) -> None:
    document = Document()
    key = document.add("billing")
    keys = document.keys()
    await keys.refresh()
    document.text = text
    await keys.refresh()
    assert await keys.find(key)
    assert keys.problem == "the document of event keys is empty"


async def test_a_document_without_keys_ends_them_all() -> None:
    document = Document()
    key = document.add("billing")
    keys = document.keys()
    await keys.refresh()
    document.text = b"{}"
    await keys.refresh()
    assert await keys.find(key) is None


async def test_a_key_revoked_after_an_unexpected_failure_still_ends() -> None:
    document = Document()
    key = document.add("billing")
    keys = StoredKeys(document.read, every=0.001)
    document.failure = RuntimeError("can't start new thread")
    async with keys.running():
        await until(lambda: document.reads > 1)
        assert keys.problem == "RuntimeError: can't start new thread"
        document.failure = None
        await until(lambda: keys.were_read)
        assert await keys.find(key)
        document.store = document.store.with_revoked("billing", datetime.now(UTC))
        seen = document.reads
        await until(lambda: document.reads > seen + 1)
        assert await keys.find(key) is None


@pytest.mark.parametrize("failure", [DENIED, OSError("no such file")])
async def test_the_keys_stay_in_force_while_the_document_cannot_be_read(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    document = Document()
    text = document.add("billing")
    keys = document.keys()
    await keys.refresh()
    document.failure = failure
    with caplog.at_level(logging.INFO):
        await keys.refresh()
        await keys.refresh()
        assert await keys.find(text)
        document.failure = None
        await keys.refresh()
    assert [record.getMessage() for record in caplog.records] == [
        f"the event keys cannot be read: {failure}; those read before stay in force",
        "the event keys can be read again",
    ]


async def test_a_document_that_is_none_changes_nothing() -> None:
    document = Document()
    text = document.add("billing")
    keys = document.keys()
    await keys.refresh()
    document.text = b"<html>"
    await keys.refresh()
    assert await keys.find(text)
    assert keys.problem is not None


async def test_before_the_first_read_every_unknown_key_is_refused_as_temporary() -> None:
    document = Document()
    document.failure = DENIED
    keys = document.keys(("fixed", Key(name="web")))
    with pytest.raises(Refused) as raised:
        await keys.find("unknown")
    assert (raised.value.status, raised.value.code) == (503, "keys_unavailable")
    assert await keys.find("fixed")


async def test_a_fixed_key_stays_valid_beside_the_stored_ones() -> None:
    document = Document()
    text = document.add("billing")
    keys = document.keys(("fixed", Key(name="web")))
    await keys.refresh()
    assert await keys.find("fixed")
    assert await keys.find(text)


async def test_the_document_is_read_again_in_the_background() -> None:
    document = Document()
    keys = StoredKeys(document.read, every=0.001)
    async with keys.running():
        text = document.add("billing")
        async with asyncio.timeout(10):
            while document.reads < 3:  # noqa: ASYNC110 - the event loop must go on
                await asyncio.sleep(0.001)
    assert await keys.find(text)


async def test_ready_names_a_document_that_cannot_be_read() -> None:
    document = Document()
    document.failure = DENIED
    keys = document.keys()
    await keys.refresh()
    reason = f"the event keys cannot be read: {DENIED.sentence}"
    assert readiness(None, keys) == (False, {"reason": reason, "warnings": []})
    document.failure = None
    await keys.refresh()
    document.failure = DENIED
    await keys.refresh()
    assert readiness(None, keys) == (True, {"reason": None, "warnings": [reason]})
    assert readiness("SQS is away", FixedKeys(())) == (
        False,
        {"reason": "SQS is away", "warnings": []},
    )
