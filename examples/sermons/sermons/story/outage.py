"""The story: uploads, an outage of the orchestrator, the death of the relay, a poison message.

At the end the records must agree: each sermon was transcribed, made searchable and announced
exactly once, and what could not be delivered is a dead letter with its reason.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from sermons.story.reconciliation import ONCE, Reconciliation, reconcile
from sermons.story.servers import Servers
from sermons.texts import Script, scripts

BROKEN = "holiday-photo"
"""An upload that is no recording: Inngest accepts its event, and a function fails."""

POISON = '{"data": {"note": "an event without a name"}}'
"""A message that no orchestrator would accept: the relay dead-letters it."""

POISON_CODE = "missing_name"
DUPLICATES = 5
"""How many uploads S3 notifies of twice."""

_TICK = 0.1


class StoryTimeout(Exception):
    """Nothing happens any more. The text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """How the story goes.

    Attributes:
        sermons: how many are uploaded.
        outage: seconds for which the orchestrator is down.
        limit: seconds without any progress after which the story gives up.
    """

    sermons: int = 50
    outage: float = 6.0
    limit: float = 120.0


class Story:
    """Tells the story once.

    Args:
        say: prints a line.
    """

    def __init__(self, plot: Plot, servers: Servers, say: Callable[[str], None]) -> None:
        self._plot = plot
        self._servers = servers
        self._say = say
        self._scripts = scripts()[: plot.sermons]
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    async def tell(self) -> Reconciliation:
        """Carry out every part in order, and reconcile.

        Raises:
            StoryTimeout: the sermons are not all announced, and nothing happens any more.
        """
        first = len(self._scripts) // 2
        self._tell(f"uploading {first} sermons, {DUPLICATES} of which S3 notifies twice")
        await self._upload(self._scripts[:first])
        await self._until(lambda: self._count("transcribed") >= first // 4, "be transcribed")
        await self._outage(self._scripts[first:])
        await self._until(self._finished, "be announced")
        return await self._reconcile()

    async def _outage(self, rest: list[Script]) -> None:
        relay, orchestrator = self._servers.relay, self._servers.orchestrator
        await orchestrator.down()
        ends = asyncio.get_running_loop().time() + self._plot.outage
        self._tell(f"the orchestrator is down for {self._plot.outage:g} s")
        self._tell(f"uploading {len(rest)} more, a broken file and a poison message meanwhile")
        await self._upload(rest)
        await self._servers.uploader.file(BROKEN, b"this is not a recording")
        await self._servers.uploader.send(POISON)
        await relay.kill()
        self._tell(
            f"the relay is killed (SIGKILL); {self._servers.waiting()} messages are safe in SQS"
        )
        await relay.start()
        self._tell("the relay is back, the orchestrator is not")
        await asyncio.sleep(max(0.0, ends - asyncio.get_running_loop().time()))
        await orchestrator.up()
        self._tell("the orchestrator is back")

    async def _upload(self, some: list[Script]) -> None:
        for number, script in enumerate(some):
            times = 2 if number < DUPLICATES else 1
            await self._servers.uploader.speak(script, times=times)

    async def _reconcile(self) -> Reconciliation:
        await self._servers.uploader.send('{"name": "sermons/report.requested"}')
        await self._until(lambda: bool(self._servers.catalog.reports()), "be reported")
        await self._until(lambda: not self._servers.waiting(), "leave the queue")
        return reconcile(
            [script.slug for script in self._scripts],
            [BROKEN],
            self._servers.catalog.effects(),
            await self._found(),
            Counter(self._servers.dead_letters()),
            Counter({POISON_CODE: 1}),
            self._servers.waiting(),
        )

    async def _found(self) -> list[str]:
        """The sermons that the application's search finds by their title."""
        found = []
        async with httpx.AsyncClient(trust_env=False, base_url=self._servers.url) as client:
            for script in self._scripts:
                reply = await client.get("/api/search", params={"q": script.title})
                if script.slug in {sermon["id"] for sermon in reply.json()}:
                    found.append(script.slug)
        return found

    def _finished(self) -> bool:
        last = ONCE[-1]
        return self._count(last) == len(self._scripts) and self._count("failed") == 1

    def _count(self, effect: str) -> int:
        return sum(e == effect for _, e in self._servers.catalog.effects())

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        shown = moved = self.seconds
        before = self._records()
        while not condition():
            if (now := self._records()) != before:
                before, moved = now, self.seconds
            if self.seconds - moved > self._plot.limit:
                done = {effect: self._count(effect) for effect in ONCE}
                quiet = f"nothing has happened for {self._plot.limit:g} s"
                raise StoryTimeout(f"not all could {what}, and {quiet}: {done}")
            if self.seconds - shown > 5:  # noqa: PLR2004 - seconds between two lines
                shown = self.seconds
                self._tell(self._progress())
            await asyncio.sleep(_TICK)

    def _records(self) -> tuple[int, int]:
        """What changes as long as anything happens: effects so far, messages that wait."""
        return self._servers.catalog.effects().total(), self._servers.waiting()

    def _progress(self) -> str:
        counts = f"{self._count('transcribed')} transcribed, {self._count('announced')} announced"
        return f"{counts}, {self._servers.waiting()} in the queue"

    def _tell(self, line: str) -> None:
        self._say(f"{self.seconds:5.1f} s  {line}")
