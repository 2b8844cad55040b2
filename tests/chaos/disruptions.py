"""The disruptions that a run can have: each is a coroutine that injects a fault and removes it."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from email.utils import formatdate

from relay.delivery.retention import EXPIRING_SHARE
from relay.local import lambda_events
from relay.local.inngest import Fault, Rule
from relay.local.sqs.faults import Fault as SqsFault
from relay.settings.clocks import QUEUE_RETENTION
from tests.chaos.dynamodb import TableState
from tests.chaos.environment import FIFO, VISIBILITY, Disruption, Environment
from tests.chaos.lambda_host import LambdaRelay
from tests.chaos.proxy import Damage, Phase
from tests.chaos.wire_disruptions import proxied

HTML = "<!doctype html><title>Inngest Server</title>"


def _answers(**fault: object) -> Disruption:
    """A fault for some of the next requests to the orchestrator."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        rule = Rule(fault=Fault(**fault), times=chance.randint(1, 5))  # type: ignore[arg-type] # a table of keywords
        env.inngest.script.add(rule)

    return disruption


async def _429_by_date(env: Environment, chance: random.Random) -> None:
    date = formatdate(env.clock.time() + chance.randint(1, 8), usegmt=True)
    fault = Fault(accept=0, status=429, headers={"Retry-After": date})
    env.inngest.script.add(Rule(fault=fault, times=chance.randint(1, 3)))


async def _retry_after_beyond_the_retention(env: Environment, chance: random.Random) -> None:
    after = chance.choice((2, 10)) * env.main.attributes.retention
    fault = Fault(
        accept=0, status=chance.choice((429, 503)), headers={"Retry-After": f"{after:.0f}"}
    )
    env.inngest.script.add(Rule(fault=fault, times=chance.randint(1, 2)))


async def _401_for_a_while(env: Environment, chance: random.Random) -> None:
    body = '{"status":401,"message":"","error":"Event key not found"}'
    rule = Rule(fault=Fault(accept=0, status=401, body=body), times=None)
    env.inngest.script.add(rule)
    await env.clock.sleep(chance.uniform(5, 40))
    env.inngest.script.clear()


async def _prefix(env: Environment, chance: random.Random) -> None:
    accepted = chance.randint(0, 4)
    fault = Fault(accept=accepted, status=400, claim=accepted, error="an error of the server's own")
    env.inngest.script.add(Rule(fault=fault, times=chance.randint(1, 3)))


async def _orchestrator_down(env: Environment, chance: random.Random) -> None:
    await env.inngest.down()
    await env.clock.sleep(chance.uniform(5, 60))
    await env.inngest.up()


async def _orchestrator_dies(env: Environment, chance: random.Random) -> None:
    """It loses what it acknowledged and has not stored."""
    await env.clock.sleep(chance.uniform(0, 3))
    if chance.random() < 0.5:
        await env.inngest.kill()
    else:
        await env.inngest.terminate()
    await env.clock.sleep(chance.uniform(1, 20))
    await env.inngest.restart()


async def _orchestrator_killed(env: Environment, _chance: random.Random) -> None:
    """With its queue in memory, it also loses what it stored and has not run."""
    await env.inngest.kill()
    await env.clock.sleep(2)
    await env.inngest.restart()


def _sqs(*actions: str, queue: str | None = None, **fault: object) -> Disruption:
    """A fault for some of the next requests of one of these actions to SQS."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        suffix = ".fifo" if env.mode in FIFO else ""
        env.sqs.faults.add(
            SqsFault(
                action=chance.choice(actions),
                queue=queue and queue + suffix,
                times=chance.randint(1, 4),
                skip=chance.randint(0, 2),
                **fault,  # type: ignore[arg-type] # a table of keywords
            )
        )

    return disruption


SETTLING = ("DeleteMessageBatch", "ChangeMessageVisibilityBatch", "ChangeMessageVisibility")
RECEIVING = ("ReceiveMessage", *SETTLING)


async def _relay_killed(env: Environment, chance: random.Random) -> None:
    await env.relay.kill_if_running()
    await env.clock.sleep(chance.uniform(0, 20))
    await env.relay.start()


async def _relay_down_for_long(env: Environment, chance: random.Random) -> None:
    await env.relay.kill_if_running()
    await env.clock.sleep(chance.uniform(60, 150))
    await env.relay.start()


async def _relay_frozen(env: Environment, chance: random.Random) -> None:
    """Sometimes for longer than every lease."""
    env.relay.send(signal.SIGSTOP)
    await env.clock.sleep(chance.uniform(1, 1.8 * VISIBILITY))
    env.relay.send(signal.SIGCONT)


async def _relay_replaced(env: Environment, chance: random.Random) -> None:
    if env.relay.running:
        await env.relay.terminate()
    await env.clock.sleep(chance.uniform(0, 5))
    await env.relay.start()


def _invocations(kind: lambda_events.faults.Kind, most: float = 0.0) -> Disruption:
    """A fault for the next invocations, up to `most` seconds after their start."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        assert isinstance(env.relay, LambdaRelay)
        fault = lambda_events.Fault(
            kind=kind, times=chance.randint(1, 3), after=chance.uniform(0, most)
        )
        env.relay.faults.add(fault)

    return disruption


async def _daemon_killed(env: Environment, chance: random.Random) -> None:
    await env.stop_daemon(kill=chance.random() < 0.5)
    await env.clock.sleep(chance.uniform(0, 5))
    await env.start_daemon()


def _ledger(state: TableState) -> Disruption:
    """DynamoDB is in this state for a while."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        env.ledger.state = state
        await env.clock.sleep(chance.uniform(5, 60))
        env.ledger.state = "healthy"

    return disruption


async def _ages(env: Environment, chance: random.Random) -> None:
    """Make some messages older than 90 % of the retention, while the orchestrator is down."""
    await env.inngest.down()
    for stored in env.main.messages():
        if chance.random() < 0.3:
            stored.sent_at -= EXPIRING_SHARE * QUEUE_RETENTION
            env.allow_dead_letter(stored, "expiring")
    await env.clock.sleep(chance.uniform(30, 220))
    await env.inngest.up()


ORCHESTRATOR: Mapping[str, Disruption] = {
    "refused connections": _answers(end="refuse"),
    "reset before accepting": _answers(accept=0, end="reset"),
    "reset after accepting": _answers(end="reset"),
    "closed after accepting": _answers(end="close"),
    "answers too late": _answers(delay=30.0),
    "cut answers": _answers(end="cut"),
    "429 in seconds": _answers(accept=0, status=429, headers={"Retry-After": "3"}),
    "429 by date": _429_by_date,
    "Retry-After beyond the retention": _retry_after_beyond_the_retention,
    "500": _answers(accept=0, status=500),
    "502 after accepting": _answers(status=502, body="Bad Gateway"),
    "503": _answers(accept=0, status=503, body="Unavailable"),
    "504 after accepting": _answers(status=504, body="Gateway Timeout"),
    "HTML with 200": _answers(accept=0, status=200, body=HTML),
    "a redirect": _answers(accept=0, status=303, headers={"Location": "/"}, body=""),
    "200 for fewer": _answers(accept=1, status=200, claim=1),
    "401 for a while": _401_for_a_while,
    "400 after a prefix": _prefix,
    "the orchestrator is down": _orchestrator_down,
}
CONFIRMED: Mapping[str, Disruption] = {
    "the orchestrator loses what it acknowledged": _answers(forget=True),
    "the orchestrator crashes and restarts": _orchestrator_dies,
}
"""What only a read-back can detect."""
SQS: Mapping[str, Disruption] = {
    "throttled": _sqs(*RECEIVING, error="RequestThrottled"),
    "unavailable": _sqs(*RECEIVING, error="ServiceUnavailable"),
    "lost answers": _sqs(*RECEIVING, drop=True),
    "connections refused": _sqs(*RECEIVING, refuse=True),
    "slow": _sqs(*RECEIVING, delay=12.0),
    "partial failures": _sqs(*SETTLING[:2], entries={0: "InternalError", 3: "ServiceUnavailable"}),
    "stale handles": _sqs("ReceiveMessage", *SETTLING, stale=True),
    "DLQ throttled": _sqs("SendMessageBatch", queue="dead", error="RequestThrottled"),
    "DLQ accepts a part": _sqs("SendMessageBatch", queue="dead", entries={0: "InternalError"}),
    "DLQ's answer is lost": _sqs("SendMessageBatch", queue="dead", drop=True),
}
STANDARD: Mapping[str, Disruption] = {
    "duplicates": _sqs("ReceiveMessage", "DeleteMessageBatch", duplicate=True),
}
"""Not for FIFO queues."""
PROCESS: Mapping[str, Disruption] = {
    "SIGKILL": _relay_killed,
    "SIGSTOP": _relay_frozen,
    "SIGTERM": _relay_replaced,
    "down for a long time": _relay_down_for_long,
    "messages near expiry": _ages,
}
LEDGER: Mapping[str, Disruption] = {
    "DynamoDB throttles": _ledger("throttled"),
    "DynamoDB processes half": _ledger("half"),
    "DynamoDB is silent": _ledger("silent"),
    "DynamoDB is down": _ledger("down"),
}
"""Only with a ledger."""
NOT_GUARANTEED: Mapping[str, Disruption] = {"the server is killed": _orchestrator_killed}
"""Not drawn by any seed: a read-back cannot detect it, so it is only reported."""
DAEMON: Mapping[str, Disruption] = {
    "resets before the relay": proxied("sqsd", Phase.REQUEST, Damage.RESET),
    "resets after the relay": proxied("sqsd", Phase.RESPONSE, Damage.RESET),
    "sqsd restarts": _daemon_killed,
}
LAMBDA: Mapping[str, Disruption] = {
    "invocations are throttled": _invocations("throttle"),
    "killed in an invocation": _invocations("kill", 4.0),
    "an invocation times out": _invocations("time-out", 8.0),
    "an invocation's answer is lost": _invocations("lose-answer"),
    "the event source restarts": _daemon_killed,
}
"""Beside freezing: every process is suspended between two invocations."""
