"""Kill points: the relay dies before and after every effect that a message has on the world.

A run without a kill records what the relay asks of others and what it answers, each kind once.
Every kind found adds two points: the request was made and not carried out, and it was carried out
and its answer never arrived. The relay is killed at each of them, and comes back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relay.local.demo.samples import SampleMessage
from tests.chaos.accelerated_clock import Haste
from tests.chaos.environment import DAEMON, Mode, World, world
from tests.chaos.findings import Verdict
from tests.chaos.processes import Zygote
from tests.chaos.proxy import Exchange, Look, Moment, Spoil
from tests.chaos.run import LEDGER, conclude
from tests.chaos.traffic import partly_poison, valid_message

SIZES = (1, 10)
SPEED = 8.0
"""Slower than the seeds: in more haste the ledger's one second of patience is over at once."""


@dataclass(frozen=True)
class Point:
    """Where the relay is killed: at the first exchange of this kind, before it or after it.

    `starting` is for a kind that is seen at the relay's start only, before any message came.
    """

    label: str
    moment: Moment
    starting: bool = False

    def __str__(self) -> str:
        return f"{self.moment.value} {self.label}"


@dataclass(frozen=True)
class Killing:
    """What came of a kill. `reached` is False where the exchange did not happen this time."""

    mode: Mode
    size: int
    point: Point
    reached: bool
    verdict: Verdict
    log: str


def script(size: int) -> list[SampleMessage]:
    """Messages on both roads: one whose events are delivered and dead-lettered, and plain ones."""
    return [partly_poison(n) if n % 3 == 0 else valid_message(n) for n in range(size)]


async def enumerate_points(
    mode: Mode, size: int, zygote: Zygote, haste: Haste, directory: Path, *, ledger: bool = True
) -> list[Point]:
    """Every point of this many messages' way, from a recorded run."""
    seen: dict[str, bool] = {}
    starting = True

    async def look(exchange: Exchange, _moment: Moment) -> Spoil | None:
        seen[exchange.label] = starting and seen.get(exchange.label, True)
        return None

    async with world(mode, zygote, haste, directory, **_quick(ledger=ledger)) as made:
        await _start(made, look, ledger=ledger)
        starting = False
        await made.publish(*script(size))
        await made.settled()
        verdict = await conclude(made)
    assert verdict.clean, list(verdict.complaints())
    return [Point(label, moment, early) for label, early in seen.items() for moment in Moment]


async def kill_at(
    mode: Mode,
    size: int,
    point: Point,
    zygote: Zygote,
    haste: Haste,
    directory: Path,
    *,
    ledger: bool = True,
) -> Killing:
    """Publish, kill the relay at the point, start it again and judge."""
    reached = asyncio.Event()
    armed = point.starting
    async with world(mode, zygote, haste, directory, **_quick(ledger=ledger)) as made:

        async def look(exchange: Exchange, moment: Moment) -> Spoil | None:
            here = (exchange.label, moment) == (point.label, point.moment)
            if not armed or reached.is_set() or not here:
                return None
            reached.set()
            await made.relay.kill_if_running()
            return Spoil.RESET

        stuck = ""
        try:
            await _start(made, look, reached, ledger=ledger)
            armed = True
            await made.publish(*script(size))
            await made.until(lambda: reached.is_set() or not made.main.messages(), within=1_000)
            await made.until(lambda: not (reached.is_set() and made.relay.running), within=1_000)
        except TimeoutError:
            stuck = f"stuck before the kill, {made.state()}\n"
        verdict = await conclude(made)
        log = stuck + made.relay.log()
    return Killing(mode, size, point, reached.is_set(), verdict, log)


def _quick(*, ledger: bool) -> dict[str, Any]:
    """What a killed relay had comes back in a second or two all the same."""
    return {
        "settings": LEDGER if ledger else {},
        "options": replace(DAEMON, error_visibility_timeout=4),
        "visibility": 15,
        "start": False,
    }


async def _start(
    made: World, look: Look, killed: asyncio.Event | None = None, *, ledger: bool = True
) -> None:
    """Start the relay, and send it events until its ledger has been reached: opening takes long."""
    for proxy in made.proxies.values():
        proxy.look = look
    await made.relay.start()
    await made.start_daemon()
    dead = killed or asyncio.Event()
    for number in range(100, 120):
        if not ledger or made.ledger.items or dead.is_set():
            return
        await made.publish(valid_message(number))
        await made.until(
            lambda: made.ledger.items or dead.is_set() or not made.main.messages(), within=1_000
        )
    raise AssertionError("the ledger was never written")
