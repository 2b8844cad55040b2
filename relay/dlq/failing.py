"""Which dead letters would only be dead-lettered again, so that a redrive leaves them."""

from __future__ import annotations

import time
from collections.abc import Callable

from relay.dlq.dead_letter import DeadLetter
from relay.dlq.prediction import LedgerReader, TraitsOf, predict, rejection
from relay.dlq.selection import Skipped

WOULD_FAIL = "would_fail"
"""Code of what would be rejected again as it is."""

WOULD_BE_AMBIGUOUS = "would_be_ambiguous"
"""Code of what a relay with a ledger would reject again as `ambiguous`."""


class FailureCheck:
    """Predicts for each dead letter whether a redrive would only dead-letter it again.

    Args:
        traits_of: the traits of the destinations.
        ledger: reads the ledger; None if there is none. It is asked only about a dead letter that
            may be too old for its destination to recognise a repeat.
        clock: epoch seconds.
    """

    def __init__(
        self,
        traits_of: TraitsOf,
        ledger: LedgerReader | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._traits_of = traits_of
        self._ledger = ledger
        self._clock = clock

    async def __call__(self, dead_letter: DeadLetter) -> Skipped | None:
        """Why it must not be sent, or None.

        Raises:
            AwsError: the ledger does not answer.
        """
        now = self._clock()
        if predict(dead_letter, None, now, self._traits_of) == "rejected":
            return _would_fail(dead_letter)
        if self._ledger is None or not self._may_be_forgotten(dead_letter, now):
            return None
        states = await self._ledger.look_up(dead_letter.events)
        if predict(dead_letter, states, now, self._traits_of) != "ambiguous":
            return None
        return Skipped(
            WOULD_BE_AMBIGUOUS,
            "it may have run, and its destination no longer recognises its id, so a relay with a"
            " ledger rejects it: --rerun runs it again, --include-failing sends it as it is",
        )

    def _may_be_forgotten(self, dead_letter: DeadLetter, now: float) -> bool:
        """Whether an attempt may be older than its destination's memory of ids."""
        first = dead_letter.first_sent_at
        traits = [self._traits_of(event.name) for event in dead_letter.events]
        windows = [one.safe_repeat_window for one in traits if one and one.safe_repeat_window]
        if dead_letter.id_lost or not windows:
            return False
        return first is None or now - first >= min(windows)


def _would_fail(dead_letter: DeadLetter) -> Skipped:
    known = rejection(dead_letter) is not None
    why = (
        "reject it, or one of its events, again"
        if known
        else "reject it, because no route takes it"
    )
    return Skipped(
        WOULD_FAIL,
        f"the relay would {why}: change it with --edit, remove it with `relay dlq drop`, or send it"
        " all the same with --include-failing",
    )
