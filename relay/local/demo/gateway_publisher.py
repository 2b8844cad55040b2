"""The demo's publisher for the gateway: sends events, and records what was confirmed to it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from relay.local.demo.reconciliation import Published
from relay.local.demo.samples import EVENT_NAMES
from relay.local.demo.senders import Sender
from relay.local.inngest import StoredEvent

PAUSE = 0.005
"""Seconds that a sender waits between two sends, so that every fault meets some of them."""

MOST_EVENTS = 5
OWN_ID_SHARE = 0.3
REPEAT_SHARE = 0.05

_MARK = "mark"


def sends(count: int, seed: int) -> list[list[dict[str, Any]]]:
    """The events of each send, the same for the same seed; some ids occur in two of them.

    Each event has a mark of its own in its data, by which it is found where its sender got no id.
    """
    chance = random.Random(seed)  # noqa: S311 - reproducible traffic, no secret
    script: list[list[dict[str, Any]]] = []
    for number in range(count):
        events = [_event(chance, f"{number}-{n}") for n in range(chance.randint(1, MOST_EVENTS))]
        if number and chance.random() < REPEAT_SHARE:
            events = script[chance.randrange(number)]  # a producer that sends again
        script.append(events)
    return script


def _event(chance: random.Random, mark: str) -> dict[str, Any]:
    own = {"id": f"order-{mark}"} if chance.random() < OWN_ID_SHARE else {}
    return {**own, "name": chance.choice(EVENT_NAMES), "data": {_MARK: mark}}


class GatewayPublisher:
    """Has the senders send everything, each one send at a time.

    Args:
        senders: the senders.

    Attributes:
        record: the events that the gateway confirmed, by id; after `settle` also those that it
            accepted without its sender hearing of it.
        done: sends that have ended.
        unconfirmed: by mark, how many events were not confirmed.
    """

    def __init__(self, senders: Sequence[Sender]) -> None:
        self._senders = senders
        self.record = Published()
        self.done = 0
        self.unconfirmed: Counter[str] = Counter()

    async def publish(self, script: Iterable[Sequence[dict[str, Any]]]) -> None:
        """Send all. Returns when each send was confirmed or given up."""
        waiting = iter(script)

        async def keep_busy(sender: Sender) -> None:
            for events in waiting:
                self._note(sender, events, await sender.send(events))
                await asyncio.sleep(PAUSE)

        async with asyncio.TaskGroup() as group:
            for sender in self._senders:
                group.create_task(keep_busy(sender))

    def _note(
        self, sender: Sender, events: Sequence[dict[str, Any]], ids: Sequence[str] | None
    ) -> None:
        self.done += 1
        self.record.kinds[f"sent by {sender.name}"] += len(events)
        if ids is None:
            self.unconfirmed.update(event["data"][_MARK] for event in events)
        else:
            self.record.runs.update(ids)

    def settle(self, stored: Iterable[StoredEvent]) -> int:
        """Record the events that were accepted and not confirmed; how many these are, by id.

        An event whose sender got no answer may be in the queue: its sender was told that it is not
        known to be.
        """
        accepted = {
            event.id
            for event in stored
            if event.id not in self.record.runs and _mark_of(event) in self.unconfirmed
        }
        self.record.runs.update(accepted)
        return len(accepted)


def _mark_of(event: StoredEvent) -> str | None:
    data = json.loads(bytes(event.data))
    mark: str | None = data.get(_MARK) if isinstance(data, dict) else None
    return mark
