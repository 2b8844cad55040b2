"""Access to the ledger's table: little patience, and none at all while the table is away."""

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
EXPIRES = "expires"
"""The table's partition key, and the attribute by which it forgets: seconds since the epoch."""

_NULL = b"null"


@dataclass(frozen=True, slots=True)
class Subject:
    """Which event a note is about, and a digest of its content.

    `hash` is of destination, environment, name and id; the id carries the generation of a
    deliberate new run. `digest` leaves the time out: SQS's own redrive gives a message a new one.
    """

    hash: str
    digest: str

    @classmethod
    def of(cls, event: Event, destination: str, environment: str) -> Subject:
        """The subject of an event that goes there."""
        place = json.dumps([destination, environment, event.name, event.id]).encode()
        content = json.dumps([len(event.data or _NULL), event.v]).encode()
        digest = hashlib.sha256(content)
        digest.update(event.data or _NULL)
        digest.update(event.user or _NULL)
        return cls(hashlib.sha256(place).hexdigest(), digest.hexdigest()[:32])

    def key(self, step: Step) -> str:
        """The key of its note of this step. Each step has an item of its own."""
        return f"{step}#{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What happened to an event, at a time in seconds since the epoch.

    `told` is the destination's reference of a delivered event, the code of a dead-lettered one.
    For `sending`, `at` is before the first attempt of which nobody knows that it failed.
    """

    step: Step
    subject: Subject
    at: float
    expires: float
    detail: str | None = None

    def item(self) -> Item:
        """The note as the table keeps it."""
        fields: dict[str, str | float] = {
            KEY: self.subject.key(self.step),
            "at": self.at,
            "digest": self.subject.digest,
            # DynamoDB expires whole seconds only.
            EXPIRES: int(self.expires),
        }
        if self.detail is not None:
            fields["told"] = self.detail
        return fields


def read_entry(step: Step, item: Item, now: float) -> LedgerEntry | None:
    """The note, or None where it has expired (the table deletes days late) or is none of ours."""
    digest, detail = item.get("digest"), item.get("told")
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


PATIENCE = 1.0
"""Seconds that an event waits at most for one step of the ledger, all tries together."""

TRIES = 4
PAUSE = Backoff(0.05, 0.4)
"""Between tries of what the table did not get to."""

AWAY = Backoff(1.0, 30.0)
"""Between looks at a table that failed; nobody waits for it in between."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done:
    """How far some work came: what is `left`, and why; nothing is where `reason` is empty."""

    left: Sequence[object] = ()
    reason: str = ""


class TableAccess:
    """Repeats what the table did not get to, within bounds. Never raises for the table's sake.

    Args:
        observe: is told when the table goes away and when it is back.
        patience: seconds for one piece of work.
        clock: seconds that never go back.
        sleep: waits on that clock.
        random: jitter, 0 to 1.
    """

    def __init__(
        self,
        *,
        observe: Observe = ignore,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._observe = observe
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._breaker = Breaker(outage=AWAY, clock=clock, random=random)
        self._since = clock()

    async def work_off(
        self, items: Sequence[T], call: Callable[[Sequence[T]], Awaitable[Sequence[T]]]
    ) -> Done:
        """Call with the items, and again with those that it returns as not done."""
        if not self._breaker.admits:
            return Done(items, self._breaker.reason)
        permit = self._breaker.admit()
        left = list(items)
        try:
            async with asyncio.timeout(self._patience):
                await self._try(left, call)
        except (AwsError, TimeoutError) as error:
            reason = str(error) or f"the table gave no answer in {self._patience:g} s"
            was_closed = self._breaker.closed
            if self._breaker.failed(permit, reason) and was_closed:
                self._changed(reason, unavailable=True)
            return Done(left, reason)
        except BaseException:
            self._breaker.release(permit)
            raise
        if self._breaker.answered(permit) and permit.probe:
            self._changed("the table answers again", unavailable=False)
        return Done(left, "the table is throttled and did not get to it" if left else "")

    async def _try(
        self, left: list[T], call: Callable[[Sequence[T]], Awaitable[Sequence[T]]]
    ) -> None:
        """Empty `left` in at most so many tries.

        Raises:
            AwsError: the table did nothing at all.
        """
        first = len(left)
        for attempt in range(1, TRIES + 1):
            try:
                left[:] = await call(left)
            except AwsError as error:
                if attempt == TRIES or not error.transient:
                    raise
            if not left:
                return
            if attempt < TRIES:
                await self._sleep(PAUSE.delay(attempt, self._random))
        if len(left) == first:
            raise AwsError("Unprocessed", "throttled", "the table is throttled and does nothing")

    def _changed(self, reason: str, *, unavailable: bool) -> None:
        now = self._clock()
        self._observe(
            LedgerChanged(unavailable=unavailable, reason=reason, seconds=now - self._since)
        )
        self._since = now
