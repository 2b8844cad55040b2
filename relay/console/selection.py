"""Which dead letters an action is for: those of a page of the console, as a filter of a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from relay.console.access import Refused
from relay.console.dead_letter_index import DeadLetterIndex
from relay.console.dead_letter_rows import Query, Totals
from relay.console.dead_letters import parameters_of, query_of
from relay.dlq.command_line import escape_pattern
from relay.dlq.filters import Filter
from relay.dlq.statistics import NO_EVENT

MAX_IDS = 10_000
"""MessageIds that a filter may have, where no other filter selects the same dead letters."""

_NO_VALUE = (NO_EVENT, "(unknown)")
"""What a group is called whose dead letters lack the value; no filter matches them by it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator has chosen: one dead letter by its MessageId, or those of a query."""

    query: Query
    message_id: str | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of a page for the same."""
        if self.message_id is not None:
            return {"id": self.message_id}
        return parameters_of(self.query)

    @property
    def everything(self) -> bool:
        """Whether it is the whole snapshot."""
        return self.message_id is None and not self.query.given


def choice_of(parameters: QueryParams) -> Choice:
    """The choice in the parameters of a page, or in the fields of a form."""
    return Choice(query_of(parameters), parameters.get("id") or None)


async def totals_of(index: DeadLetterIndex, choice: Choice, now: float) -> Totals:
    """How many were chosen, with what a redrive would do."""
    query = choice.query
    if choice.message_id is not None:
        query = Query(text=choice.message_id)
    return await index.totals(query, now)


async def filter_of(
    index: DeadLetterIndex, choice: Choice, now: float
) -> tuple[Filter, frozenset[str] | None]:
    """A filter that selects what was chosen, and the MessageIds of what it matches in the snapshot.

    These are None for the whole snapshot.

    Raises:
        Refused: no filter can say that.
    """
    if choice.message_id is not None:
        return await _by_ids(index, (choice.message_id,))
    query = choice.query
    if not query.given:
        return Filter(), None
    said: dict[str, Any] = {
        name: value
        for name in ("name", "code", "source")
        if (value := getattr(query, name)) and value not in _NO_VALUE
    }
    chosen = (await index.totals(query, now)).count
    if not chosen:
        # A filter without a value would match everything.
        raise Refused(
            422, "nothing_chosen", "no dead letter of the snapshot is like that: choose others"
        )
    matching = await index.filtered(said) if said else []
    if said and len(matching) == chosen:
        fields: Any = {f"{name}s": (escape_pattern(value),) for name, value in said.items()}
        return Filter(**fields), frozenset(matching)
    if chosen > MAX_IDS:
        raise Refused(
            422,
            "selection_too_large",
            f"no filter of a command selects exactly these {chosen:,} dead letters, and they"
            f" are more than {MAX_IDS:,} ids: choose them by event and reason",
        )
    return await _by_ids(index, await index.message_ids(query))


async def _by_ids(
    index: DeadLetterIndex, ids: Sequence[str]
) -> tuple[Filter, frozenset[str] | None]:
    return Filter(ids=tuple(ids)), frozenset(await index.with_ids(ids))
