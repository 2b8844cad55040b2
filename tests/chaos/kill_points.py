"""Kill points: the relay dies before and after every effect that a message has on the world.

A run without a kill records what the relay asks of others and what it answers, each kind once.
Every kind found adds two points: the request was made and not carried out, and it was carried out
and its answer never arrived. The relay is killed at each of them, and comes back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from relay.local.demo.publication import Publication
from tests.chaos.haste import Haste
from tests.chaos.processes import Zygote
from tests.chaos.proxy import Exchange, Look, Moment, Spoil
from tests.chaos.run import LEDGER, conclude
from tests.chaos.traffic import honest, mixed
from tests.chaos.verdict import Verdict
from tests.chaos.world import Mode, World, world

SIZES = (1, 10)


@dataclass(frozen=True)
class Point:
    """Where the relay is killed: at the first exchange of this kind, before it or after it."""

    label: str
    moment: Moment

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


def script(size: int) -> list[Publication]:
    """Messages on both roads: one whose events are delivered and dead-lettered, and plain ones."""
    return [mixed(n) if n % 3 == 0 else honest(n) for n in range(size)]


async def enumerate_points(
    mode: Mode, size: int, zygote: Zygote, haste: Haste, directory: Path
) -> list[Point]:
    """Every point of this many messages' way, from a recorded run."""
    seen: dict[str, None] = {}

    async def look(exchange: Exchange, _moment: Moment) -> Spoil | None:
        seen.setdefault(exchange.label)
        return None

    async with world(mode, zygote, haste, directory, settings=LEDGER, start=False) as made:
        await _go(made, size, look)
        await made.settled()
        verdict = await conclude(made)
    assert verdict.clean, list(verdict.complaints())
    return [Point(label, moment) for label in seen for moment in Moment]


async def kill_at(
    mode: Mode, size: int, point: Point, zygote: Zygote, haste: Haste, directory: Path
) -> Killing:
    """Publish, kill the relay at the point, start it again and judge."""
    reached = asyncio.Event()
    async with world(mode, zygote, haste, directory, settings=LEDGER, start=False) as made:

        async def look(exchange: Exchange, moment: Moment) -> Spoil | None:
            if reached.is_set() or (exchange.label, moment) != (point.label, point.moment):
                return None
            reached.set()
            await made.relay.kill_if_running()
            return Spoil.RESET

        await _go(made, size, look)
        await made.until(lambda: reached.is_set() or not made.main.messages(), within=200)
        await made.until(lambda: not (reached.is_set() and made.relay.running), within=200)
        verdict = await conclude(made)
    return Killing(mode, size, point, reached.is_set(), verdict)


async def _go(made: World, size: int, look: Look) -> None:
    for proxy in made.proxies.values():
        proxy.look = look
    await made.publish(*script(size))
    await made.relay.start()
    await made.start_daemon()
