"""The sources of `relay trace`, wired: those that are named, and those that the settings know."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relay.aws.dynamodb import open_table
from relay.aws.logs import search_logs
from relay.ledger.note import KEY
from relay.settings import Settings
from relay.story.inngest import SOURCE, Stored
from relay.story.known import Found, Known, Source
from relay.story.logs import LogFiles, LogGroup
from relay.story.notes import Notes
from relay.story.telling import Story, tell
from relay.wiring.ledger import place
from relay.wiring.peek import Peek, letters_of
from relay.wiring.questions import reading
from relay.wiring.session import SharedSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Where to look. `since` is in epoch seconds.

    `peek` receives the dead letters once, in polls that wait `poll` seconds each.
    """

    name: str | None = None
    since: float = 0.0
    logs: Sequence[Path] = ()
    log_group: str | None = None
    snapshots: Sequence[Path] = ()
    peek: bool = False
    poll: float = 1.0


async def story_of(asked: str, settings: Settings, wanted: Wanted) -> Story:
    """The story of what is asked for.

    Raises:
        relay.dlq.snapshot.Unreadable: a snapshot is none.
    """
    known = Known(asked)
    if wanted.name is not None:
        known.events.add((wanted.name, asked))
    async with AsyncExitStack() as stack:
        session = SharedSession(stack)
        sources: list[Source] = [LogFiles(wanted.logs)] if wanted.logs else []
        if wanted.log_group is not None:
            search = partial(_search, session, wanted.log_group, wanted.since)
            sources.append(LogGroup(search))
        sources += [letters_of(settings, session, path) for path in wanted.snapshots]
        if wanted.peek:
            directory = tempfile.TemporaryDirectory(prefix="relay-trace-")
            path = Path(stack.enter_context(directory))
            sources.append(Peek(settings, session, path, wanted.poll))
        if settings.ledger_table is not None:
            opening = open_table(session, settings.ledger_table, key=KEY)
            table = await stack.enter_async_context(opening)
            sources.append(Notes(table, *place(settings)))
        if settings.destination == "inngest":
            sources.append(_Server(settings, wanted.since, stack))
        return await tell(known, sources)


async def _search(
    session: SharedSession, group: str, since: float, word: str
) -> tuple[list[str], bool]:
    return await search_logs(await session(), group, word, since)


class _Server:
    """The orchestrator, whose key is looked up when it is first asked."""

    name = SOURCE

    def __init__(self, settings: Settings, since: float, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._since = since
        self._stack = stack
        self._stored: Stored | None = None

    async def find(self, known: Known) -> Found:
        """What it stored and ran."""
        if self._stored is None:
            questions = await self._stack.enter_async_context(await reading(self._settings))
            self._stored = Stored(questions, since=self._since)
        return await self._stored.find(known)
