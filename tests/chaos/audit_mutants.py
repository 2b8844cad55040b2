"""Audits with one deliberate defect each: the comparison must detect every one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from relay.app import auditing
from relay.cli import audit_run
from relay.ops.audit import audit
from relay.ops.audit.state import AuditState, EventRuns
from relay.ops.inngest_api import InngestApi


class DroppingTheLastPage(InngestApi):
    """Takes the last page of a list that has events for an empty one."""

    async def events(self, after: float, **query: Any) -> Sequence[Mapping[str, Any]]:
        page = await super().events(after, **query)
        if not page:
            return page
        following = {**query, "cursor": page[-1]["internal_id"]}
        return page if await super().events(after, **following) else ()


class CountingCopies(AuditState):
    """Counts each copy of an event."""

    def events(self) -> Iterator[EventRuns]:
        for event in super().events():
            yield from (replace(event, references=(one,)) for one in event.references)


def _drop_last_page() -> None:
    setattr(audit, "InngestApi", DroppingTheLastPage)  # noqa: B010 - mypy forbids assigning to a type
    setattr(auditing, "InngestApi", DroppingTheLastPage)  # noqa: B010 - as above


def _count_copies() -> None:
    setattr(audit_run, "AuditState", CountingCopies)  # noqa: B010 - as above


AUDIT_MUTANTS: dict[str, Callable[[], None]] = {
    "drops the last page": _drop_last_page,
    "counts a duplicate twice": _count_copies,
}
"""By name, a function that replaces the real part."""
