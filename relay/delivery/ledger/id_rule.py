"""The rule that ids are made by, recorded in the ledger's table so that a change is noticed.

After a change, a message that was tried before with an unknown outcome is sent under another id,
and its events may run twice. No code can prevent that; a person can change the rule back in time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from relay.aws.errors import AwsError
from relay.delivery.ledger.entries import Table
from relay.delivery.ledger.table import EXPIRES, KEY, Item

REFRESH_EVERY = 86_400.0
"""Seconds after which the record is written again, so that it does not expire."""

RETRY_EVERY = 60.0
"""Seconds between tries while the table does not answer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IdRule:
    """The settings that say which id a message without one of its own gets."""

    attribute: str | None = None
    path: str | None = None
    dedup_id: bool = False

    def __str__(self) -> str:
        """The settings as they would be written in the environment."""
        found = [f"RELAY_ID_ATTRIBUTE={self.attribute}"] if self.attribute else []
        found += [f"RELAY_ID_PATH={self.path}"] if self.path else []
        found += ["RELAY_FIFO_DEDUP_ID=true"] if self.dedup_id else []
        return ", ".join(found) or "no setting"


class IdRuleRecord:
    """Compares the rule with the one that the table has for a queue, and records it.

    Nothing waits for it: while the table does not answer, it is tried again.

    Args:
        table: the ledger's table.
        rule: the rule in effect.
        scope: destination and environment, as in the ledger's entries.
        kept: seconds for which the record is kept.
        retention: seconds for which the queue keeps messages that were sent before a change.
        clock: seconds since the epoch.
        sleep: waits between tries.
    """

    def __init__(
        self,
        table: Table,
        rule: IdRule,
        scope: tuple[str, str],
        *,
        kept: float,
        retention: float,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._table = table
        self._rule = str(rule)
        self._scope = scope
        self._kept = kept
        self._retention = retention
        self._clock = clock
        self._sleep = sleep
        self._following: asyncio.Task[None] | None = None
        self._changed: tuple[float, str] | None = None

    @property
    def warning(self) -> str | None:
        """That the rule has changed, for as long as the queue may have older messages."""
        if self._changed is None or self._clock() - self._changed[0] >= self._retention:
            return None
        at = datetime.fromtimestamp(self._changed[0], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return (
            f"ids are made with {self._rule} since {at}, and were made with {self._changed[1]}"
            " before: a message of before then whose outcome is unknown may run a second time,"
            " under a new id. If that matters, change it back until the queue is empty: see"
            " docs/ids.md#changing-the-rule"
        )

    def follow(self, queue: str) -> None:
        """Start to compare and record, once; needs a running loop. The first queue counts."""
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow(queue))

    async def aclose(self) -> None:
        """Stop."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self, queue: str) -> None:
        first = True
        while True:
            try:
                await self._record(queue, first=first)
            except AwsError as error:
                _log.info("the rule for ids was not compared: %s", error.sentence)
                await self._sleep(RETRY_EVERY)
            else:
                first = False
                await self._sleep(REFRESH_EVERY)

    async def _record(self, queue: str, *, first: bool) -> None:
        """Compare and write. After the first time a different rule is that of a newer relay."""
        key = self._key(queue)
        items, left = await self._table.read([key])
        if left:
            raise AwsError("Unprocessed", "throttled", "the ledger's table is throttled")
        before = items[0] if items else {}
        rule, now = before.get("rule"), self._clock()
        item: dict[str, str | float] = {KEY: key, "at": now, EXPIRES: int(now + self._kept)}
        if rule in (None, self._rule):
            item |= {name: before[name] for name in ("changed", "before") if name in before}
        elif first:
            item |= {"changed": now, "before": str(rule)}
        else:
            return
        self._changed = _change(item)
        if first and self.warning is not None:
            _log.warning("%s", self.warning)
        await self._table.write([{**item, "rule": self._rule}], [])

    def _key(self, queue: str) -> str:
        identity = json.dumps([*self._scope, queue]).encode()
        return f"id-rule#{hashlib.sha256(identity).hexdigest()}"


def _change(item: Item) -> tuple[float, str] | None:
    """When the rule changed, and the rule before."""
    at, before = item.get("changed"), item.get("before")
    return (at, before) if isinstance(at, float) and isinstance(before, str) else None
