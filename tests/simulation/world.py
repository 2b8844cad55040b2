"""A simulated world: real queues, a real relay, an orchestrator that can be down, no network."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from relay.aws.sqs_values import Outgoing
from relay.delivery.dead_letter_room import BodyStore
from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.handler import Handler
from relay.delivery.in_flight import HandlerStatus
from relay.delivery.opening import Opening
from relay.delivery.pause import NeverPaused, Pausing
from relay.delivery.reject_guard import RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Rules, decode
from relay.forwarding import Forwarder
from relay.forwarding.circuit_breaker import Breaker
from relay.local.lambda_events import EventSource, EventSourceOptions, FaultScript
from relay.local.sqs import Stored
from relay.local.sqsd import SqsdOptions
from relay.model.facts import CircuitChanged, Fact
from relay.model.origin import ATTRIBUTE, Origin, unpack
from relay.settings import clocks
from relay.sources.lambda_batch import LambdaBatch, PausableHandler
from relay.sources.poller import Limits, Poller
from relay.sources.poller.receive_gate import PausableGate
from relay.sources.sqsd import PushApp
from tests.forwarding.virtual_time import now
from tests.simulation.dead_letter_store import QueueStore
from tests.simulation.lambda_function import VirtualFunction, VirtualQueue
from tests.simulation.memory_sqs import LoopClock, MemorySqs
from tests.simulation.orchestrator import Orchestrator
from tests.simulation.sqsd import VirtualSqsd

SHIPPED = SqsdOptions(
    http_connections=clocks.HTTP_CONNECTIONS,
    inactivity_timeout=int(clocks.INACTIVITY_TIMEOUT),
    visibility_timeout=int(clocks.VISIBILITY_TIMEOUT),
    error_visibility_timeout=int(clocks.ERROR_VISIBILITY_TIMEOUT),
    retention_period=int(clocks.SQSD_RETENTION),
)
"""sqsd with the settings of the deployment files."""


@dataclass
class World:
    """One queue, its dead-letter queue, the orchestrator, and the relay's facts.

    With `groups` it is a FIFO queue whose messages are in so many groups.
    """

    max_receive_count: int = clocks.MAX_RECEIVE_COUNT
    retention: float = clocks.QUEUE_RETENTION
    visibility: float = clocks.VISIBILITY_TIMEOUT
    dead_letters_throttled_until: float = 0.0
    groups: int = 0
    seed: int = 1
    largest_dead_letter: int = 1_048_576
    guarded: bool = True
    bodies: BodyStore | None = None
    pause: Pausing = field(default_factory=NeverPaused)
    facts: list[Fact] = field(default_factory=list)
    receives: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.clock = LoopClock()
        self.orchestrator = Orchestrator()
        self.sqs = MemorySqs(self.clock)
        kind, fifo = (".fifo", {"FifoQueue": "true"}) if self.groups else ("", {})
        self.dead = self.sqs.queue(
            f"relay-dlq{kind}",
            MessageRetentionPeriod=int(clocks.DLQ_RETENTION),
            MaximumMessageSize=self.largest_dead_letter,
            **fifo,
        )
        policy = {"deadLetterTargetArn": self.dead.arn, "maxReceiveCount": self.max_receive_count}
        self.main = self.sqs.queue(
            f"relay{kind}",
            MessageRetentionPeriod=int(self.retention),
            VisibilityTimeout=int(self.visibility),
            RedrivePolicy=json.dumps(policy),
            **fifo,
        )
        self.ids: list[str] = []
        self.poison: list[str] = []
        self.handler: Handler

    async def publish(self, count: int) -> None:
        """Send so many messages with one event each."""
        first = len(self.ids)
        names = [f"order-{first + n}" for n in range(count)]
        await self._send([{"id": name, "name": "shop/paid", "data": {}} for name in names], first)
        self.ids += names

    async def publish_poison(self, count: int) -> None:
        """Send so many messages whose event has no name."""
        first = len(self.poison)
        names = [f"poison-{first + n}" for n in range(count)]
        await self._send([{"id": name, "data": {}} for name in names], first)
        self.poison += names

    async def _send(self, bodies: Sequence[object], first: int) -> None:
        entries = [self._outgoing(n, json.dumps(body)) for n, body in enumerate(bodies, first)]
        await self.sqs.client(self.main).send(entries)

    def _outgoing(self, number: int, body: str) -> Outgoing:
        if not self.groups:
            return Outgoing(body=body)
        dedup_id = hashlib.sha256(body.encode()).hexdigest()
        return Outgoing(body=body, group_id=f"group-{number % self.groups}", dedup_id=dedup_id)

    @property
    def left(self) -> int:
        """The number of messages in the main queue, hidden ones included."""
        return len(self.main.messages())

    @property
    def dead_letters(self) -> dict[str, Origin]:
        """The origins of the dead letters, by the id of their events."""
        return {_name(stored): unpack(packed_origin(stored)) for stored in self.dead.messages()}

    @property
    def most_receives(self) -> int:
        """The highest receive count of any message still in the queue."""
        return max((stored.receive_count for stored in self.main.messages()), default=0)

    @property
    def circuit(self) -> list[CircuitChanged]:
        return [fact for fact in self.facts if isinstance(fact, CircuitChanged)]

    @property
    def status(self) -> HandlerStatus:
        """The status of the running relay's handler."""
        return self.handler.status

    async def accepted(self, within: float) -> None:
        """Return when all good events are accepted."""
        async with asyncio.timeout(within):
            while not set(self.ids) <= set(self.orchestrator.accepted):  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.1)

    async def empty(self, within: float) -> None:
        """Return when the main queue is empty; fails after so many seconds."""
        async with asyncio.timeout(within):
            while self.left:  # noqa: ASYNC110 - the queue has no event to wait for
                await asyncio.sleep(1.0)

    @asynccontextmanager
    async def relay(
        self, hidden: float = 0.0, *, hold: bool = True
    ) -> AsyncIterator[tuple[Handler, Forwarder]]:
        """The relay's handler and forwarder, built as `relay.app.core` builds them."""
        chance = random.Random(self.seed).random
        forwarder = Forwarder(
            self.orchestrator,
            breaker=Breaker(clock=now, random=chance),
            hold=hold,
            observe=self.facts.append,
            clock=now,
            random=chance,
        )
        handler = Handler(
            Opening(lambda message: decode(message, Rules())),
            forwarder,
            DeadLettering(
                QueueStore(self.sqs.client(self.dead), lambda: self.dead_letters_throttled_until),
                bodies=self.bodies,
                observe=self.facts.append,
                clock=self.clock.time,
            ),
            guard=RejectGuard(
                enabled=self.guarded,
                max_receives=self.max_receive_count,
                observe=self.facts.append,
                clock=self.clock.time,
            ),
            retention=Retention(self.retention, hidden=hidden, clock=self.clock.time),
            pause=self.pause,
            observe=self.facts.append,
            clock=self.clock.time,
        )
        self.handler = handler
        expiring = asyncio.create_task(_expire(handler))
        try:
            yield handler, forwarder
        finally:
            expiring.cancel()
            await forwarder.stop(30.0)

    @asynccontextmanager
    async def pulling(self, limits: Limits | None = None) -> AsyncIterator[None]:
        """`relay poll` with the shipped settings."""
        async with self.relay() as (handler, forwarder), asyncio.TaskGroup() as tasks:
            poller = Poller(
                self.sqs.client(self.main),
                handler.handle_exclusive,
                begin=handler.begin_exclusive,
                gate=PausableGate(forwarder, self.pause),
                limits=limits,
                observe=self.facts.append,
                clock=now,
                retention=handler.retention,
            )
            tasks.create_task(poller.run())
            yield
            poller.stop()
            poller.stop()

    @asynccontextmanager
    async def pushing(
        self, options: SqsdOptions = SHIPPED, *, hold: float = clocks.HOLD
    ) -> AsyncIterator[VirtualSqsd]:
        """sqsd and `relay serve` with the shipped settings."""
        async with AsyncExitStack() as stack:
            hidden = options.error_visibility_timeout
            handler, _ = await stack.enter_async_context(self.relay(hidden))
            app = PushApp(
                handler.begin, end_wait=handler.end_wait, hold=hold, ready=lambda: (True, {})
            )
            sqsd = VirtualSqsd(self.sqs.sqsd(self.main), options, self.clock)
            sqsd.application = app.asgi()
            sqsd.start(stack)
            yield sqsd

    @asynccontextmanager
    async def invoking(
        self, options: EventSourceOptions | None = None, *, faults: FaultScript | None = None
    ) -> AsyncIterator[EventSource]:
        """Lambda's event source and the relay as a function, with the shipped timeouts."""
        async with VirtualFunction(self.environment, faults or FaultScript()) as function:
            queue = VirtualQueue(self.sqs, self.main)
            source = EventSource(
                queue,
                function.invoke,
                options,
                function_timeout=clocks.LAMBDA_TIMEOUT,
                clock=self.clock,
            )
            async with source:
                yield source

    @asynccontextmanager
    async def environment(self) -> AsyncIterator[LambdaBatch]:
        """One execution environment of the function."""
        queue = self.sqs.client(self.main)
        async with self.relay(self.visibility, hold=False) as (handler, forwarder):
            pausable = PausableHandler(
                handler.handle,
                handler.handle_exclusive,
                must_end=handler.retention.must_end,
                pause=self.pause,
                visibility=self.visibility,
            )
            yield LambdaBatch(
                pausable.handle,
                lambda _, changes: queue.change_visibility(changes),
                visibility=self.visibility,
                longest_hide=handler.retention.longest_hide,
                unavailable=lambda: (forwarder.down and forwarder.state.reason) or None,
            )


async def _expire(handler: Handler) -> None:
    while True:
        await asyncio.sleep(handler.retention.check_every)
        handler.expire()


def packed_origin(stored: Stored) -> str:
    attribute = stored.attributes.get(ATTRIBUTE)
    assert attribute is not None, f"{stored.body} was moved by SQS itself"
    return attribute.string_value or ""


def _name(stored: Stored) -> str:
    return str(json.loads(stored.body)["id"])
