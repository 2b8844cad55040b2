"""The ledger's items, and access to their table: short timeouts, few retries, a circuit breaker."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random as chance
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from relay.aws.errors import AwsError
from relay.forwarding.circuit_breaker import Backoff, Breaker
from relay.model.event import Event
from relay.model.facts import LedgerChanged, Observe, ignore

Step: TypeAlias = Literal["sending", "delivered", "dead-lettered"]
Item: TypeAlias = Mapping[str, str | float]
"""An item of the table: text and numbers by attribute."""

KEY = "key"
"""The table's partition key."""

EXPIRES = "expires"
"""The table's time-to-live attribute: seconds since the epoch."""

DEFAULT_TIMEOUT = 1.0
"""Seconds for which an event waits at most for one step of the ledger, all tries together."""

MAX_TRIES = 4

PAUSE = Backoff(0.05, 0.4)
"""Between tries of what the table did not process."""

OUTAGE = Backoff(1.0, 30.0)
"""Between probes of a table that failed; no event waits for it in between."""

_NULL = b"null"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """Identifies the event of an entry, with a digest of its content.

    `hash` is of destination, environment, name and id; the id contains the generation of a
    deliberate new run. `digest` leaves out the time: SQS's own redrive gives a message a new one.
    """

    hash: str
    digest: str

    @classmethod
    def of(cls, event: Event, destination: str, environment: str) -> Subject:
        """The subject of an event that is sent to this destination.

        `environment` is that of events without their own.
        """
        scope = [destination, event.env or environment]
        identity = json.dumps([*scope, event.name, event.id]).encode()
        content = json.dumps([len(event.data or _NULL), event.v]).encode()
        digest = hashlib.sha256(content)
        digest.update(event.data or _NULL)
        digest.update(event.user or _NULL)
        return cls(hashlib.sha256(identity).hexdigest(), digest.hexdigest()[:32])

    def key(self, step: Step) -> str:
        """The key of its entry of this step. Each step has an item of its own."""
        return f"{step}#{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What happened to an event, and when: `at` is in seconds since the epoch.

    `detail` is the destination's reference of a delivered event, the code of a dead-lettered one.
    For `sending`, `at` is before the first attempt that is not known to have failed.
    """

    step: Step
    subject: Subject
    at: float
    expires: float
    detail: str | None = None

    def item(self) -> Item:
        """The item that the table stores."""
        fields: dict[str, str | float] = {
            KEY: self.subject.key(self.step),
            "at": self.at,
            "digest": self.subject.digest,
            # DynamoDB expires whole seconds only.
            EXPIRES: int(self.expires),
        }
        if self.detail is not None:
            fields["detail"] = self.detail
        return fields


def read_entry(step: Step, item: Item, now: float) -> LedgerEntry | None:
    """The entry; None if it has expired (the table deletes days late) or is not an entry."""
    digest, detail = item.get("digest"), item.get("detail")
    at, expires = _number(item.get("at")), _number(item.get(EXPIRES))
    if at is None or expires is None or expires <= now or not isinstance(digest, str):
        return None
    return LedgerEntry(
        step=step,
        subject=Subject(str(item[KEY]).partition("#")[2], digest),
        at=at,
        expires=expires,
        detail=detail if isinstance(detail, str) else None,
    )


def _number(value: str | float | None) -> float | None:
    return None if value is None or isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Progress:
    """The items that are `left`, and the reason; nothing is left if `reason` is empty."""

    left: Sequence[object] = ()
    reason: str = ""


class TableAccess:
    """Retries what the table did not process, within limits. Errors of the table are not raised.

    Args:
        observe: gets the start and the end of an outage of the table.
        patience: seconds for one call of `process`, all tries together.
        clock: monotonic seconds.
        sleep: sleeps on that clock.
        random: jitter, 0 to 1.
    """

    def __init__(
        self,
        *,
        observe: Observe = ignore,
        patience: float = DEFAULT_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._observe = observe
        self._timeout = patience
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._breaker = Breaker(outage=OUTAGE, clock=clock, random=random)
        self._since = clock()

    async def process(
        self, items: Sequence[T], call: Callable[[Sequence[T]], Awaitable[Sequence[T]]]
    ) -> Progress:
        """Call with the items, and again with those that it returns as not processed."""
        if not self._breaker.admits:
            return Progress(items, self._breaker.reason)
        permit = self._breaker.admit()
        left = list(items)
        try:
            async with asyncio.timeout(self._timeout):
                await self._try(left, call)
        except (AwsError, TimeoutError) as error:
            reason = str(error) or f"the table did not answer in {self._timeout:g} s"
            was_closed = self._breaker.closed
            if self._breaker.failed(permit, reason) and was_closed:
                self._changed(reason, unavailable=True)
            return Progress(left, reason)
        except BaseException:
            self._breaker.release(permit)
            raise
        if self._breaker.answered(permit) and permit.probe:
            self._changed("the table answers again", unavailable=False)
        return Progress(left, "the table is throttled and left it unprocessed" if left else "")

    async def _try(
        self, left: list[T], call: Callable[[Sequence[T]], Awaitable[Sequence[T]]]
    ) -> None:
        """Empty `left` in at most `MAX_TRIES` calls.

        Raises:
            AwsError: the table processed nothing at all.
        """
        first = len(left)
        for attempt in range(1, MAX_TRIES + 1):
            try:
                left[:] = await call(left)
            except AwsError as error:
                if attempt == MAX_TRIES or not error.transient:
                    raise
            if not left:
                return
            if attempt < MAX_TRIES:
                await self._sleep(PAUSE.delay(attempt, self._random))
        if len(left) == first:
            raise AwsError(
                "Unprocessed", "throttled", "the table is throttled and processes nothing"
            )

    def _changed(self, reason: str, *, unavailable: bool) -> None:
        now = self._clock()
        self._observe(
            LedgerChanged(unavailable=unavailable, reason=reason, seconds=now - self._since)
        )
        self._since = now
