"""What a start costs: CPU until the first message is delivered."""

from __future__ import annotations

from bench.accounting import cpu_seconds
from bench.contestant import Contestant
from bench.course import WITHIN, Ground, Work
from bench.poster import post


async def start_cpu(ground: Ground, contestant: Contestant) -> float:
    """Seconds of CPU of the process, from nothing to its first delivery."""
    await ground.sink.ask("wait", seconds=0.0)
    async with ground.course(contestant) as (queue, url, running):
        if contestant.pushed:
            await post(running.port, url, 1, Work(name="one", size=300), 1)
        else:
            await ground.sqs.ask("fill", name=queue, count=1, size=300)
            await ground.sqs.ask("emptied", name=queue, within=WITHIN)
        return cpu_seconds(running.process.pid)
