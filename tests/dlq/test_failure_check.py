"""What a redrive leaves because it would only be dead-lettered again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relay.app.destinations.traits import traits_lookup
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.failing import FailureCheck
from relay.dlq.prediction import LedgerState
from relay.model.event import Event
from relay.model.origin import Origin
from relay.settings.model import Settings
from tests.dlq.queues import DAY, dead_letter

NOW = 10 * DAY
OLD = Origin(id="a", sent_at=NOW - 2 * DAY)


class Ledger:
    """Has one state for every event, and counts how often it is asked."""

    def __init__(self, state: LedgerState | None) -> None:
        self.state = state
        self.asked = 0

    async def look_up(self, events: Sequence[Event]) -> Sequence[LedgerState | None]:
        self.asked += 1
        return [self.state] * len(events)


async def code(found: DeadLetter, ledger: Ledger | None = None, **settings: str) -> str | None:
    lookup = traits_lookup(Settings.model_validate(settings))
    skipped = await FailureCheck(lookup, ledger, clock=lambda: NOW)(found)
    return None if skipped is None else skipped.code


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"name":"shop/order"}', None),
        ("{", "would_fail"),
        ('[{"name":"good"},{"name":""}]', "would_fail"),
        ('[{"name":"good"},{"name":"fine"}]', None),
    ],
)
async def test_what_the_relay_would_reject_is_left(body: str, expected: str | None) -> None:
    assert await code(dead_letter(body, origin=Origin(id="a"))) == expected


async def test_only_pending_events_count() -> None:
    body = '[{"name":"good"},{"name":""}]'
    assert await code(dead_letter(body, origin=Origin(id="a", pending=(0,)))) is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (LedgerState(sending_at=NOW - 2 * DAY), "would_be_ambiguous"),
        (LedgerState(sending_at=NOW - 60.0), None),
        (LedgerState(sending_at=NOW - 2 * DAY, delivered_at=NOW - DAY), None),
        (LedgerState(), None),
        (None, None),
    ],
)
async def test_what_a_relay_with_a_ledger_would_reject_as_ambiguous_is_left(
    state: LedgerState | None, expected: str | None
) -> None:
    assert await code(dead_letter(origin=OLD), Ledger(state)) == expected


async def test_the_ledger_is_not_asked_about_what_its_destination_still_recognises() -> None:
    ledger = Ledger(LedgerState(sending_at=NOW - 2 * DAY))
    young = dead_letter(origin=Origin(id="a", sent_at=NOW - 3_600.0))
    assert await code(young, ledger) is None
    assert ledger.asked == 0
