"""Events of failed runs as messages that can be sent again under a new generation of their ids."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from glob import escape
from typing import Any

from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.ops.audit.accepted import EventList, Scope
from relay.ops.audit.state import AuditState, EventRuns
from relay.ops.inngest_api import InngestApi

CODE = "run_failed"
"""The code under which a plan groups them."""

NEXT = ".r1"
"""What a new generation appends to an id."""

OTHER_RUNS = "other_runs"
RERUN_BEFORE = "rerun_before"
GONE = "gone"

REASONS = {
    OTHER_RUNS: "another function completed or is under way for them and would run again: add"
    " --all-functions to run all functions again",
    RERUN_BEFORE: "they were published again before under the next id",
    GONE: "the orchestrator no longer has their content",
}
"""Why the events of failed runs are not published again, by code."""

_FIELDS = ("id", "name", "data", "user", "ts", "v")


def failed_events(state: AuditState) -> Iterator[EventRuns]:
    """The events of which a run failed."""
    return (event for event in state.events() if any(run.status == "failed" for run in event.runs))


def event_json(event: EventRuns) -> dict[str, Any]:
    """An event of a failed run as JSON values."""
    return {
        "id": event.id,
        "name": event.name,
        "at": event.at,
        "references": list(event.references),
        "functions": sorted({run.function for run in event.runs if run.status == "failed"}),
    }


class FailedEvents:
    """The messages of the failed events that may be published again.

    Args:
        state: of a complete audit.
        api: reads their content.
        queue: the name of the queue that they will be sent to.
        all_functions: include events for which another function did not fail.

    `skipped` counts the others by code, see `REASONS`.
    """

    def __init__(
        self, state: AuditState, api: InngestApi, queue: str, *, all_functions: bool
    ) -> None:
        self._state = state
        self._api = api
        self._queue = queue
        self._all_functions = all_functions
        self._again: set[tuple[str, str]] = set()
        self.skipped: Counter[str] = Counter()

    async def messages(self) -> AsyncIterator[Message]:
        """Each message.

        Raises:
            Unavailable: the server does not answer.
            UnusableAnswer: it does not offer this API.
        """
        await self._find_reruns()
        for event in failed_events(self._state):
            code = self._skipped(event)
            message = None if code else await self._message(event)
            if message is None:
                self.skipped[code or GONE] += 1
            else:
                yield message

    async def _find_reruns(self) -> None:
        """Read which of the events were published again, also after the audit's time window.

        The server forgets the next id after a day, and would then run the event once more.
        """
        first = dict[str, float]()
        for event in failed_events(self._state):
            first[event.name] = min(first.get(event.name, math.inf), event.at or 0.0)
        for name, since in first.items():
            scope = Scope(since=since, until=math.inf, names=(escape(name),))
            async for batch in EventList(self._api).read(scope, ""):
                self._again.update(
                    (one.name, one.id)
                    for one in batch.events
                    if one.id.endswith(NEXT)
                    and self._state.has(one.name, one.id.removesuffix(NEXT))
                )

    def _skipped(self, event: EventRuns) -> str | None:
        others = any(run.status != "failed" for run in event.runs)
        if others and not self._all_functions:
            return OTHER_RUNS
        again = (event.name, f"{event.id}{NEXT}") in self._again
        return RERUN_BEFORE if again else None

    async def _message(self, event: EventRuns) -> Message | None:
        """The message with the event's content; None if no copy is stored any more."""
        for reference in event.references:
            fields = await self._api.event(reference)
            if fields is not None:
                return failed_message(event, fields, self._queue)
        return None


def failed_message(event: EventRuns, fields: Mapping[str, Any], queue: str) -> Message:
    """The event as the producer's message would be after a dead-lettering, under the same id.

    The server never returns `meta`, so that is lost.
    """
    functions = sorted({run.function for run in event.runs if run.status == "failed"})
    kept = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
    body = json.dumps({**kept, "id": event.id, "name": event.name}, separators=(",", ":"))
    origin = Origin(
        id=event.id,
        sent_at=event.at,
        source=queue,
        code=CODE,
        reason=f"a run of {', '.join(functions)} failed",
        may_have_run=True,
    )
    return Message(
        body=body.encode(),
        message_id=event.references[0],
        queue=queue,
        attributes={ATTRIBUTE: Attribute("String", origin.pack())},
        sent_at=event.at,
    )
