"""Builds what `relay dlq` needs: a reader of dead letters, one of the ledger, a direct target."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import islice

from relay.app.core import open_core
from relay.app.decoding import payloads, rules
from relay.app.ledger import ledger_scope
from relay.app.telemetry import Telemetry
from relay.aws.dynamodb import open_table
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.aws.sqs import Queue
from relay.delivery.ledger import Subject, Table
from relay.delivery.ledger.entries import MAX_READ_KEYS
from relay.delivery.ledger.table import KEY, Item, Step, read_entry
from relay.delivery.payloads import BUCKET_NOT_ALLOWED
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.destination_target import DEADLINE, DestinationTarget, NoDeadLetters, OutcomeObserver
from relay.dlq.prediction import LedgerReader, LedgerState
from relay.model.event import Event
from relay.model.message import Message
from relay.model.outcome import Reject, Retry
from relay.settings.model import Settings

ATTEMPTS = 6
FIRST_PAUSE = 0.1
_STEPS: tuple[Step, ...] = ("sending", "delivered", "dead-lettered")

STOP_DEADLINE = 5.0
"""Seconds for requests under way when a direct target is closed."""


class DeadLetterReader:
    """Reads the dead letters of one queue, with their payloads in S3 where they can be fetched.

    Args:
        settings: how messages are decoded, and which buckets may be read.
        session: of AWS, opened when the first payload is fetched.
        main: name of the queue that they came from, where the messages do not say.

    Attributes:
        unread: why the payload of a message was not read, by MessageId.
    """

    def __init__(self, settings: Settings, session: SharedSession, main: str | None) -> None:
        self.unread: dict[str, str] = {}
        self._opening = payloads(settings, session)
        self._rules = rules(settings)
        self._main = main

    async def read(self, message: Message) -> DeadLetter:
        """The dead letter, with its payload if that can be fetched."""
        if not self._opening.may_be_pointer(message):
            return read_dead_letter(message, self._rules, self._main)
        async with self._opening.opened(message) as found:
            payload = self._payload(message, found)
            return read_dead_letter(message, self._rules, self._main, payload)

    def _payload(self, message: Message, found: Message | Reject | Retry) -> bytes | Reject | None:
        if isinstance(found, Message):
            return found.body
        # That this machine may not read the bucket does not mean that the relay may not.
        if isinstance(found, Reject) and found.code != BUCKET_NOT_ALLOWED:
            return found
        self.unread[message.message_id] = found.reason
        return None


class LedgerTableReader:
    """Reads events' states from the ledger's table; `scope` is the destination and environment."""

    def __init__(
        self,
        table: Table,
        scope: tuple[str, str],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._table = table
        self._scope = scope
        self._clock = clock
        self._sleep = sleep

    async def look_up(self, events: Sequence[Event]) -> Sequence[LedgerState | None]:
        """The state of each, in order.

        Raises:
            AwsError: the table does not answer.
        """
        subjects = [Subject.of(event, *self._scope) for event in events]
        keys = iter(dict.fromkeys(s.key(step) for s in subjects for step in _STEPS))
        found: dict[str, Item] = {}
        while some := list(islice(keys, MAX_READ_KEYS)):
            found |= await self._read(some)
        return [self._state(subject, found) for subject in subjects]

    async def _read(self, keys: Sequence[str]) -> dict[str, Item]:
        found: dict[str, Item] = {}
        left = list(keys)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                items, rest = await self._table.read(left)
                found.update((str(item[KEY]), item) for item in items)
                left = list(rest)
            except AwsError as error:
                if not error.transient or attempt == ATTEMPTS:
                    raise
            if not left:
                return found
            await self._sleep(FIRST_PAUSE * 2.0**attempt)
        raise AwsError("Unprocessed", "throttled", "the ledger's table is throttled: try again")

    def _state(self, subject: Subject, found: Mapping[str, Item]) -> LedgerState:
        now = self._clock()
        entries = {
            step: read_entry(step, found[key], now)
            for step in _STEPS
            if (key := subject.key(step)) in found
        }
        at = {step: entry.at for step, entry in entries.items() if entry is not None}
        return LedgerState(at.get("sending"), at.get("delivered"), at.get("dead-lettered"))


@contextlib.asynccontextmanager
async def open_ledger_reader(settings: Settings) -> AsyncIterator[LedgerReader | None]:
    """A reader of the ledger, None if the settings name no table. No request is made yet."""
    if settings.ledger_table is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        opening = open_table(SharedSession(stack), settings.ledger_table, key=KEY)
        yield LedgerTableReader(await stack.enter_async_context(opening), ledger_scope(settings))


@contextlib.asynccontextmanager
async def destination_target(
    settings: Settings, dead: Queue, max_bytes: int, deadline: float = DEADLINE
) -> AsyncIterator[DestinationTarget]:
    """A target that delivers directly to the destination, for as long as the block runs.

    Why a message was dead-lettered is known: the reject guard is off, and no message is too old.
    """
    observer = OutcomeObserver()
    telemetry = Telemetry(
        observe=observer.observe,
        wrap=lambda destination: destination,
        add_metrics_route=lambda app: app,
    )
    async with open_core(settings, telemetry, NoDeadLetters(), from_command=True) as core:
        target = DestinationTarget(
            core.handler.handle, observer, dead, max_bytes=max_bytes, deadline=deadline
        )
        try:
            yield target
        finally:
            await core.stop(STOP_DEADLINE)
