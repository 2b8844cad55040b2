"""The event keys in force, read again when their document changes, without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from relay.aws.errors import AwsError
from relay.gateway.answers import unavailable
from relay.gateway.key_store import BadKeyStore, read_key_store
from relay.gateway.keys import Key, digests, find_key

REFRESH_UNKNOWN = 10.0
"""Seconds between two reads of a secret because of unknown keys, which anybody can send."""

_log = logging.getLogger(__name__)

ReadDocument = Callable[[], Awaitable[bytes]]
"""Reads the document's text. Raises `OSError` or `AwsError`."""


class StoredKeys:
    """The keys of a document that changes.

    If the document cannot be read, the keys that were read last stay in force. Until it was read
    once, every request is answered 503.

    Args:
        read: reads the document.
        every: seconds between two reads.
        every_unknown: seconds between two reads because of unknown keys.
        fixed: keys that are always in force, each with its text.
        clock: monotonic seconds.

    Attributes:
        problem: why the document could not be read, a sentence; None if it was read.
    """

    def __init__(
        self,
        read: ReadDocument,
        *,
        every: float,
        every_unknown: float = REFRESH_UNKNOWN,
        fixed: Iterable[tuple[str, Key]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._every = every
        self._every_unknown = every_unknown
        self._fixed = digests(fixed)
        self._keys = self._fixed
        self._was_read = False
        self._clock = clock
        self._read_at = float("-inf")
        self._reads = 0
        self._reading = asyncio.Lock()
        self.problem: str | None = None

    @property
    def were_read(self) -> bool:
        """Whether the document was ever read."""
        return self._was_read

    async def find(self, text: str) -> Key | None:
        """The key with this text. An unknown one may be new, so the document is read again.

        Raises:
            Refused: 503, the document was never read.
        """
        found = find_key(self._keys, text)
        if found is None and self._clock() >= self._read_at + self._every_unknown:
            await self.refresh()
            found = find_key(self._keys, text)
        if found is None and not self._was_read:
            raise unavailable("keys_unavailable", "the gateway cannot read its event keys now")
        return found

    async def refresh_if_old(self) -> None:
        """Read the document if its time has come, for a process in which no timer runs."""
        if self._clock() >= self._read_at + self._every:
            await self.refresh()

    async def refresh(self) -> None:
        """Read the document. Concurrent callers share one read."""
        reads = self._reads
        async with self._reading:
            if self._reads > reads:
                return
            try:
                stored = _parsed(await self._read())
            except (OSError, AwsError, BadKeyStore) as error:
                self._failed(error.sentence if isinstance(error, AwsError) else str(error))
            except Exception as error:  # noqa: BLE001 - a revoked key must still end later
                self._failed(f"{type(error).__name__}: {error}")
            else:
                if self.problem is not None:
                    _log.info("the event keys can be read again")
                self.problem, self._was_read = None, True
                self._keys = self._fixed | stored
            self._read_at = self._clock()
            self._reads += 1

    def _failed(self, reason: str) -> None:
        if reason != self.problem:
            kept = "; those read before stay in force" if self._was_read else ""
            _log.error("the event keys cannot be read: %s%s", reason, kept)
        self.problem = reason

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the document now and again, for as long as the block runs."""

        async def again() -> None:
            while True:
                await self.refresh()
                await asyncio.sleep(self._every)

        task = asyncio.create_task(again(), name="event keys")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


def _parsed(text: bytes) -> dict[bytes, Key]:
    """The valid keys of the document.

    Raises:
        BadKeyStore: it is none. An empty one is a write that was cut off: a document without keys
            is `{}`.
    """
    if not text.strip():
        raise BadKeyStore("the document of event keys is empty")
    return read_key_store(text).valid()
