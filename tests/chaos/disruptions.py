"""Everything that goes wrong on purpose: each a coroutine that does its harm and mends it."""

from __future__ import annotations

import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import TypeAlias

from relay.local.inngest import Fault, Rule
from relay.local.sqs.faults import Fault as SqsFault
from relay.settings.clocks import EXPIRING_SHARE, QUEUE_RETENTION
from tests.chaos.dynamodb import Mood
from tests.chaos.environment import VISIBILITY, World
from tests.chaos.proxy import Exchange, Moment, Spoil

Trouble: TypeAlias = Callable[[World, random.Random], Awaitable[None]]

HTML = "<!doctype html><title>Inngest Server</title>"


def _answers(**fault: object) -> Trouble:
    """Some of the orchestrator's next answers are like this."""

    async def trouble(world: World, chance: random.Random) -> None:
        rule = Rule(fault=Fault(**fault), times=chance.randint(1, 5))  # type: ignore[arg-type] # a table of keywords
        world.inngest.script.add(rule)

    return trouble


async def _429_by_date(world: World, chance: random.Random) -> None:
    date = formatdate(world.haste.time() + chance.randint(1, 8), usegmt=True)
    fault = Fault(accept=0, status=429, headers={"Retry-After": date})
    world.inngest.script.add(Rule(fault=fault, times=chance.randint(1, 3)))


async def _401_for_a_while(world: World, chance: random.Random) -> None:
    body = '{"status":401,"message":"","error":"Event key not found"}'
    rule = Rule(fault=Fault(accept=0, status=401, body=body), times=None)
    world.inngest.script.add(rule)
    await world.haste.sleep(chance.uniform(5, 40))
    world.inngest.script.clear()


async def _prefix(world: World, chance: random.Random) -> None:
    accepted = chance.randint(0, 4)
    fault = Fault(accept=accepted, status=400, claim=accepted, error="an error of the server's own")
    world.inngest.script.add(Rule(fault=fault, times=chance.randint(1, 3)))


async def _orchestrator_down(world: World, chance: random.Random) -> None:
    await world.inngest.down()
    await world.haste.sleep(chance.uniform(5, 60))
    await world.inngest.up()


async def _orchestrator_dies(world: World, chance: random.Random) -> None:
    """What it acknowledged and had not stored is forgotten."""
    await world.haste.sleep(chance.uniform(0, 3))
    if chance.random() < 0.5:
        await world.inngest.kill()
    else:
        await world.inngest.terminate()
    await world.haste.sleep(chance.uniform(1, 20))
    await world.inngest.restart()


async def _orchestrator_killed(world: World, _chance: random.Random) -> None:
    """What it had stored and not run is forgotten too, where its queue is in memory."""
    await world.inngest.kill()
    await world.haste.sleep(2)
    await world.inngest.restart()


def _sqs(*actions: str, queue: str | None = None, **fault: object) -> Trouble:
    """Some of SQS's next answers to one of these actions are like this."""

    async def trouble(world: World, chance: random.Random) -> None:
        suffix = ".fifo" if world.mode == "fifo" else ""
        world.sqs.faults.add(
            SqsFault(
                action=chance.choice(actions),
                queue=queue and queue + suffix,
                times=chance.randint(1, 4),
                skip=chance.randint(0, 2),
                **fault,  # type: ignore[arg-type] # a table of keywords
            )
        )

    return trouble


SETTLING = ("DeleteMessageBatch", "ChangeMessageVisibilityBatch", "ChangeMessageVisibility")
RECEIVING = ("ReceiveMessage", *SETTLING)


def _proxied(name: str, moment: Moment, spoil: Spoil) -> Trouble:
    """Some of the next exchanges through a proxy are spoilt."""

    async def trouble(world: World, chance: random.Random) -> None:
        left = chance.randint(1, 6)

        async def look(_exchange: Exchange, at: Moment) -> Spoil | None:
            nonlocal left
            if at is not moment or left == 0 or chance.random() < 0.5:
                return None
            left -= 1
            return spoil

        world.proxies[name].look = look

    return trouble


def _slow(name: str) -> Trouble:
    """Some of the next answers take long, for some of them too long."""

    async def trouble(world: World, chance: random.Random) -> None:
        left = chance.randint(2, 8)

        async def look(_exchange: Exchange, at: Moment) -> Spoil | None:
            nonlocal left
            if at is Moment.ANSWERED and left > 0:
                left -= 1
                await world.haste.sleep(chance.uniform(1, 35))
            return None

        world.proxies[name].look = look

    return trouble


async def _relay_killed(world: World, chance: random.Random) -> None:
    await world.relay.kill_if_running()
    await world.haste.sleep(chance.uniform(0, 20))
    await world.relay.start()


async def _relay_down_for_long(world: World, chance: random.Random) -> None:
    await world.relay.kill_if_running()
    await world.haste.sleep(chance.uniform(60, 150))
    await world.relay.start()


async def _relay_frozen(world: World, chance: random.Random) -> None:
    """Long enough, at times, for every lease to end."""
    world.relay.send(signal.SIGSTOP)
    await world.haste.sleep(chance.uniform(1, 1.8 * VISIBILITY))
    world.relay.send(signal.SIGCONT)


async def _relay_replaced(world: World, chance: random.Random) -> None:
    if world.relay.running:
        await world.relay.terminate()
    await world.haste.sleep(chance.uniform(0, 5))
    await world.relay.start()


async def _daemon_killed(world: World, chance: random.Random) -> None:
    await world.stop_daemon(kill=chance.random() < 0.5)
    await world.haste.sleep(chance.uniform(0, 5))
    await world.start_daemon()


def _ledger(mood: Mood) -> Trouble:
    """DynamoDB is like this for a while."""

    async def trouble(world: World, chance: random.Random) -> None:
        world.ledger.mood = mood
        await world.haste.sleep(chance.uniform(5, 60))
        world.ledger.mood = "well"

    return trouble


async def _ages(world: World, chance: random.Random) -> None:
    """Some messages are suddenly older than nine tenths of the retention, while nobody is there."""
    await world.inngest.down()
    for stored in world.main.messages():
        if chance.random() < 0.3:
            stored.sent_at -= EXPIRING_SHARE * QUEUE_RETENTION
            world.excuse(stored, "expiring")
    await world.haste.sleep(chance.uniform(30, 220))
    await world.inngest.up()


ORCHESTRATOR: Mapping[str, Trouble] = {
    "refused connections": _answers(end="refuse"),
    "reset before accepting": _answers(accept=0, end="reset"),
    "reset after accepting": _answers(end="reset"),
    "closed after accepting": _answers(end="close"),
    "answers too late": _answers(delay=30.0),
    "cut answers": _answers(end="cut"),
    "429 in seconds": _answers(accept=0, status=429, headers={"Retry-After": "3"}),
    "429 by date": _429_by_date,
    "500": _answers(accept=0, status=500),
    "502 after accepting": _answers(status=502, body="Bad Gateway"),
    "503": _answers(accept=0, status=503, body="Unavailable"),
    "504 after accepting": _answers(status=504, body="Gateway Timeout"),
    "HTML with 200": _answers(accept=0, status=200, body=HTML),
    "a redirect": _answers(accept=0, status=303, headers={"Location": "/"}, body=""),
    "200 for fewer": _answers(accept=1, status=200, claim=1),
    "401 for a while": _401_for_a_while,
    "400 after a prefix": _prefix,
    "it is down": _orchestrator_down,
}
CONFIRMED: Mapping[str, Trouble] = {
    "it forgets what it acknowledged": _answers(forget=True),
    "it dies and comes back": _orchestrator_dies,
}
"""What only a read-back can tell."""
SQS: Mapping[str, Trouble] = {
    "throttled": _sqs(*RECEIVING, error="RequestThrottled"),
    "unavailable": _sqs(*RECEIVING, error="ServiceUnavailable"),
    "lost answers": _sqs(*RECEIVING, drop=True),
    "connections refused": _sqs(*RECEIVING, refuse=True),
    "slow": _sqs(*RECEIVING, delay=12.0),
    "partial failures": _sqs(*SETTLING[:2], entries={0: "InternalError", 3: "ServiceUnavailable"}),
    "stale handles": _sqs("ReceiveMessage", *SETTLING, stale=True),
    "DLQ throttled": _sqs("SendMessageBatch", queue="dead", error="RequestThrottled"),
    "DLQ takes a part": _sqs("SendMessageBatch", queue="dead", entries={0: "InternalError"}),
    "DLQ's answer is lost": _sqs("SendMessageBatch", queue="dead", drop=True),
}
STANDARD: Mapping[str, Trouble] = {
    "duplicates": _sqs("ReceiveMessage", "DeleteMessageBatch", duplicate=True),
}
"""What a FIFO queue does not do."""
WIRE: Mapping[str, Trouble] = {
    "resets before Inngest": _proxied("Inngest", Moment.ASKED, Spoil.RESET),
    "resets after Inngest": _proxied("Inngest", Moment.ANSWERED, Spoil.RESET),
    "cuts after Inngest": _proxied("Inngest", Moment.ANSWERED, Spoil.CUT),
    "slow way to Inngest": _slow("Inngest"),
    "resets before SQS": _proxied("SQS", Moment.ASKED, Spoil.RESET),
    "resets after SQS": _proxied("SQS", Moment.ANSWERED, Spoil.RESET),
    "cuts after SQS": _proxied("SQS", Moment.ANSWERED, Spoil.CUT),
    "slow way to SQS": _slow("SQS"),
}
PROCESS: Mapping[str, Trouble] = {
    "SIGKILL": _relay_killed,
    "SIGSTOP": _relay_frozen,
    "SIGTERM": _relay_replaced,
    "down for long": _relay_down_for_long,
    "messages age": _ages,
}
LEDGER: Mapping[str, Trouble] = {
    "DynamoDB throttles": _ledger("throttled"),
    "DynamoDB takes a half": _ledger("half"),
    "DynamoDB is silent": _ledger("silent"),
    "DynamoDB is down": _ledger("gone"),
}
"""Only where there is a ledger."""
UNPROMISED: Mapping[str, Trouble] = {"it is killed at once": _orchestrator_killed}
"""Not drawn by any seed: what a read-back cannot tell, reported only."""
DAEMON: Mapping[str, Trouble] = {
    "resets before the relay": _proxied("sqsd", Moment.ASKED, Spoil.RESET),
    "resets after the relay": _proxied("sqsd", Moment.ANSWERED, Spoil.RESET),
    "sqsd dies": _daemon_killed,
}
