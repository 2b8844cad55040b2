"""What `relay dlq redrive` does: shows the plan, or executes it and prints the result."""

from __future__ import annotations

from pathlib import Path

from relay.app.audit import audit
from relay.app.redrive import Redrive, Resources, open_resources
from relay.app.redrive_options import RedriveOptions
from relay.cli.dlq.input import report_unread, snapshot_of_queue
from relay.cli.dlq.output import PARTIAL, watching
from relay.cli.dlq.plan_view import show_plan
from relay.cli.dlq.queues import open_queues
from relay.cli.dlq.run import open_journal, report
from relay.cli.startup import fail
from relay.dlq.snapshot import Unreadable
from relay.settings.model import Settings


class RedriveCommand:
    """Shows the plan of a redrive, or executes it and prints the result."""

    def __init__(self, settings: Settings, options: RedriveOptions, *, as_json: bool) -> None:
        self._settings = settings
        self._options = options
        self._as_json = as_json

    async def run(
        self, dlq: str | None, main: str | None, directory: Path | None, *, yes: bool
    ) -> None:
        """Show the plan, or with `yes` redrive. A request that SQS refuses ends the command."""
        options = self._options
        async with (
            open_queues(self._settings, dlq, main) as queues,
            open_resources(self._settings, queues, options.to) as resources,
        ):
            if options.snapshot is not None:
                snapshot_of_queue(options.snapshot, queues)
            try:
                await (self._execute(resources, directory) if yes else self._show(resources))
            except Unreadable as error:
                fail(str(error))
            finally:
                report_unread(resources.reader.unread)

    async def _show(self, resources: Resources) -> None:
        with watching() as watch:
            plan = await Redrive(self._settings, resources, self._options, watch).plan()
        if watch.stop.is_set():
            fail("stopped before the plan was complete: nothing was changed", code=PARTIAL)
        show_plan(plan, as_json=self._as_json, ledger=resources.ledger is not None)

    async def _execute(self, resources: Resources, directory: Path | None) -> None:
        options = self._options.resume_options
        opening = open_journal(directory, resources.queues, "redrive", options)
        with opening as journal, watching() as watch:
            redrive = Redrive(self._settings, resources, self._options, watch)
            counts = await redrive.execute(journal)
            audit(self._settings, journal, "redrive", options, counts)
            report(counts, journal, as_json=self._as_json, done="redriven")
