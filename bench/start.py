"""What a start costs: CPU until the first message is delivered."""

from __future__ import annotations

from bench.accounting import cpu_seconds
from bench.contestant import Contestant
from bench.harness import Ground
from bench.payload import bodies
from bench.poster import deliver

SIZE = 300


async def start_cpu(ground: Ground, contestant: Contestant) -> float:
    """Seconds of CPU of the process, from nothing to its first delivery."""
    await ground.sink.ask("wait", seconds=0.0)
    async with ground.course(contestant) as (queue, url, running):
        if contestant.pushed:
            await deliver(running, url, bodies(1, SIZE), 1)
        else:
            await ground.sqs.ask("fill", name=queue, count=1, size=SIZE)
            await ground.emptied(queue, running)
        return cpu_seconds(running.process.pid)
