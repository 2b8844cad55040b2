"""The plans that operators look at, and the one run that may be under way."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from relay.console.access import Refused
from relay.console.observed import Observed
from relay.console.run_request import RunRequest
from relay.dlq.journal import new_directory, who
from relay.dlq.past_runs import PastRun, past_runs
from relay.dlq.plan import Plan
from relay.dlq.restore import RestorePlan
from relay.dlq.selection import Counts
from relay.dlq.watch import Watch
from relay.output.times import format_time

_log = logging.getLogger(__name__)

MAX_PLANS = 20
"""Plans that are kept. Whoever opens an older one makes it again."""

LOOKED_AT = 50
"""Journals that are looked at for a run of another process."""

STOP_DEADLINE = 10.0
"""Seconds for the batch in flight when the console stops. A run that needs longer is resumed."""

_UNEXPECTED = "an error that was not expected ended it: the console's output has it"


class RunFailed(Exception):
    """It cannot be planned or done. The text is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan and what it was made with.

    `queue` is the dead-letter queue's name, `ledger` says whether the ledger was read, and `unread`
    counts the payloads in S3 that were not.
    """

    plan: Plan | RestorePlan
    queue: str
    ledger: bool = False
    unread: int = 0
    why_unread: str = ""


class Operator(Protocol):
    """Does what is asked for, as the commands of `relay dlq` do."""

    async def plan(self, request: RunRequest, watch: Watch) -> Planned:
        """What a run would do now. Nothing is changed.

        Raises:
            RunFailed: that cannot be found out.
        """
        ...

    async def execute(
        self, request: RunRequest, journal: Path, began_at: float, watch: Watch
    ) -> Counts:
        """Do it, with a journal in this directory. A directory with one is resumed.

        Raises:
            RunFailed: it cannot begin, or not write its journal.
        """
        ...


@dataclass(slots=True)
class PlanEntry:
    """A plan that is being made, or was. `run` is the name of the run that it became."""

    id: str
    request: RunRequest
    began_at: float
    observed: Observed = field(default_factory=Observed)
    planned: Planned | None = None
    problem: str | None = None
    run: str | None = None


@dataclass(slots=True)
class ActiveRun:
    """A run of this console.

    `client` is the address of the browser that started it; `counts` and `problem` are None while it
    goes on.
    """

    directory: Path
    request: RunRequest
    queue: str
    by: str
    client: str
    began_at: float
    observed: Observed = field(default_factory=Observed)
    counts: Counts | None = None
    problem: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.directory.name

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return not self.ended.is_set()


class Runs:
    """Makes plans and runs, one run at a time.

    Args:
        operator: does the work.
        directory: where journals are.
        clock: seconds since the epoch.

    Attributes:
        active: the last run of this console, which may have ended; None before the first.
        closed: set when the console stops.
    """

    def __init__(
        self, operator: Operator, directory: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._operator = operator
        self.directory = directory
        self._clock = clock
        self._plans: dict[str, tuple[PlanEntry, asyncio.Task[None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self.active: ActiveRun | None = None
        self.closed = asyncio.Event()

    def begin_plan(self, request: RunRequest) -> PlanEntry:
        """Begin to make a plan; the oldest one is forgotten if there are too many."""
        entry = PlanEntry(secrets.token_hex(8), request, self._clock())
        self._plans[entry.id] = (entry, asyncio.create_task(self._plan(entry)))
        while len(self._plans) > MAX_PLANS:
            _, task = self._plans.pop(next(iter(self._plans)))
            task.cancel()
        return entry

    def plan(self, ident: str) -> PlanEntry:
        """The plan with this id.

        Raises:
            Refused: it is not kept any more.
        """
        if ident not in self._plans:
            raise Refused(
                404,
                "no_such_plan",
                "this plan is not kept any more: choose the dead letters and make it again",
            )
        return self._plans[ident][0]

    def start(self, entry: PlanEntry, client: str) -> str:
        """Execute a plan; the name of its run. Twice the same plan is one run.

        Raises:
            Refused: there is no plan yet, or another run is under way.
        """
        if entry.run is not None:
            return entry.run
        if entry.planned is None:
            raise Refused(409, "no_plan", "the plan is not complete: wait until it is shown")
        queue = entry.planned.queue
        self._check_free(queue)
        directory = new_directory(entry.request.command, queue, self.directory)
        # What arrives after the plan was not shown, so it was not agreed to.
        entry.run = self._begin(directory, entry.request, queue, client, entry.began_at)
        return entry.run

    def resume(self, run: PastRun, request: RunRequest, client: str) -> str:
        """Go on with a run from its journal; its name.

        Raises:
            Refused: another run is under way.
        """
        self._check_free(run.queue)
        return self._begin(run.directory, request, run.queue, client, run.began_at)

    def stop(self, name: str) -> None:
        """Stop the run after the batch in flight, if it is under way."""
        if self.active is not None and self.active.name == name:
            self.active.observed.stop.set()

    async def close(self) -> None:
        """Stop everything. A run finishes the batch in flight and can be resumed."""
        self.closed.set()
        for _, task in self._plans.values():
            task.cancel()
        if self._task is not None and self.active is not None:
            self.active.observed.stop.set()
            await asyncio.wait({self._task}, timeout=STOP_DEADLINE)
            self._task.cancel()
            await asyncio.wait({self._task})

    def _begin(
        self, directory: Path, request: RunRequest, queue: str, client: str, began_at: float
    ) -> str:
        run = ActiveRun(directory, request, queue, who(), client, began_at)
        self.active = run
        self._task = asyncio.create_task(self._execute(run))
        return run.name

    def _check_free(self, queue: str) -> None:
        active = self.active
        if active is not None and active.running:
            raise _busy(active.request.command, active.by, active.began_at, f", {active.client}")
        for run in past_runs(self.directory, LOOKED_AT):
            if run.running and run.queue == queue:
                raise _busy(run.command, run.by, run.began_at)

    async def _plan(self, entry: PlanEntry) -> None:
        async def plan() -> None:
            entry.planned = await self._operator.plan(entry.request, entry.observed.watch)

        entry.problem = await _problem(plan)

    async def _execute(self, run: ActiveRun) -> None:
        async def execute() -> None:
            run.counts = await self._operator.execute(
                run.request, run.directory, run.began_at, run.observed.watch
            )

        try:
            run.problem = await _problem(execute)
        finally:
            run.ended.set()


async def _problem(steps: Callable[[], Awaitable[None]]) -> str | None:
    """Why the steps failed, None if they did not."""
    try:
        await steps()
    except RunFailed as error:
        return str(error)
    except Exception:  # noqa: BLE001 - the page must say that it failed, and the log why
        _log.exception("a plan or a run failed")
        return _UNEXPECTED
    return None


def _busy(command: str, by: str, began_at: float, more: str = "") -> Refused:
    return Refused(
        409,
        "run_under_way",
        f"a {command} by {by}{more} has been under way since {format_time(began_at)}: wait until it"
        " has ended, or stop it",
    )
