"""Reconciles what was uploaded with what became of it, read from four independent places.

The places are the catalog's record of effects, its search over HTTP, the queues, and the list of
what was uploaded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field

ONCE = ("transcoded", "transcribed", "embedded", "announced", "reminded")
"""What must happen to each sermon exactly once."""


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """Counts of sermons, except where it says messages.

    Attributes:
        done: by effect, to how many sermons it happened.
        twice: repetitions of any effect.
        searchable: how many are found by their title.
        failed: broken uploads that are shown with their reason.
        dead_lettered: messages in the dead-letter queue.
        in_queue: messages that still wait.
        wrong: a sentence for each finding that must not be.
    """

    uploaded: int
    done: Mapping[str, int]
    twice: int
    searchable: int
    failed: int
    dead_lettered: int
    in_queue: int
    wrong: tuple[str, ...] = field(default=())

    @property
    def consistent(self) -> bool:
        """Whether everything happened to every sermon, once."""
        complete = all(count == self.uploaded for count in (*self.done.values(), self.searchable))
        return complete and not (self.twice or self.in_queue or self.wrong)

    def table(self) -> str:
        """The counts for a person."""
        rows = [
            ("uploaded", self.uploaded),
            *((effect, self.done[effect]) for effect in ONCE),
            ("found by search", self.searchable),
            ("done twice", self.twice),
            ("broken uploads, shown with their reason", self.failed),
            ("dead letters", self.dead_lettered),
            ("left in the queue", self.in_queue),
        ]
        lines = [f"  {name:<42}{count:>4}" for name, count in rows]
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.wrong)])

    def summary(self, seconds: float) -> str:
        """One line of JSON."""
        counts = {k: v for k, v in asdict(self).items() if k not in ("done", "wrong")}
        return json.dumps({"type": "story", **self.done, **counts, "seconds": round(seconds, 1)})


def reconcile(
    uploaded: Collection[str],
    broken: Collection[str],
    effects: Counter[tuple[str, str]],
    found: Iterable[str],
    dead: Counter[str],
    expected_dead: Counter[str],
    in_queue: int,
) -> Reconciliation:
    """Compare.

    Args:
        uploaded: the ids of the good sermons.
        broken: those of uploads that are no recordings.
        effects: how often each effect happened, by sermon and effect.
        found: the sermons that a search for their title found.
        dead: the codes of the dead letters.
        expected_dead: what they should be.
        in_queue: messages that still wait.
    """
    good, bad = set(uploaded), set(broken)
    done = {e: sum(effects[sermon, e] > 0 for sermon in good) for e in ONCE}
    failed = {sermon for sermon, effect in effects if effect == "failed"}
    strangers = {sermon for sermon, _ in effects} - good - bad
    wrong = [
        *(f"{sermon} was never uploaded" for sermon in sorted(strangers)),
        *(f"{sermon} failed" for sermon in sorted(failed & good)),
        *(f"{sermon} is broken and nobody was told" for sermon in sorted(bad - failed)),
    ]
    if dead != expected_dead:
        wrong.append(f"dead letters: {dict(dead)} instead of {dict(expected_dead)}")
    repeated = sum(count - 1 for (_, e), count in effects.items() if e in ONCE and count > 1)
    again = sum(count for (_, effect), count in effects.items() if effect.endswith(" again"))
    return Reconciliation(
        uploaded=len(good),
        done=done,
        twice=repeated + again,
        searchable=len(good & set(found)),
        failed=len(failed & bad),
        dead_lettered=dead.total(),
        in_queue=in_queue,
        wrong=tuple(wrong),
    )
