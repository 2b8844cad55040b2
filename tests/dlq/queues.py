"""Local queues with dead letters in them, and dead letters that no queue has held."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec

from relay.aws.errors import AwsError
from relay.aws.json_protocol import open_json_client
from relay.aws.session import Session
from relay.aws.sqs import Queue
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.envelope import Rules
from relay.local.clock import ManualClock
from relay.local.sqs import Fault, Request, SqsServer, Stored
from relay.local.sqs import Queue as StoredQueue
from relay.local.sqs.parameters import AttributeValue, Draft
from relay.local.sqs.validation import accept
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin

DAY = 86_400.0


def event(number: int = 0, **more: Any) -> str:
    """An event with nothing but a name, so that its id derives from its message."""
    fields = {"name": "shop/order", "data": {"number": number}, **more}
    return msgspec.json.encode(fields).decode()


def origin_attribute(message_id: str, **more: Any) -> dict[str, Attribute]:
    """Our attribute as the relay writes it on a dead letter."""
    fields = {"hops": 1, "source": "main", "code": "fails_alone", "reason": "it failed", **more}
    return {ATTRIBUTE: Attribute("String", Origin(id=message_id, **fields).pack())}


@dataclass
class LocalQueues:
    """The queues `main` and `dead`, and FIFO ones, each with the other as its dead-letter queue."""

    sqs: SqsServer
    clock: ManualClock
    session: Session
    stack: AsyncExitStack
    opened: dict[str, Queue] = field(default_factory=dict)
    hook: Callable[[Request], Fault | None] | None = None
    """Called for each request before it is executed, and before any scripted fault."""

    def make(self, name: str, dead: str | None = None, **attributes: str) -> None:
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        if dead is not None:
            policy = {"deadLetterTargetArn": self.sqs.queues[dead].arn, "maxReceiveCount": 1}
            attributes["RedrivePolicy"] = msgspec.json.encode(policy).decode()
        self.sqs.account.create(name, attributes, {})

    async def queue(self, name: str) -> Queue:
        """The queue as the commands have it, by name or ARN."""
        name = name.rpartition(":")[2]
        if name not in self.sqs.queues:
            raise AwsError("QueueDoesNotExist", "missing", f"there is no queue {name}")
        if name not in self.opened:
            opening = open_json_client(self.session, self.sqs.url, "us-east-1")
            wire = await self.stack.enter_async_context(opening)
            queue = self.sqs.queues[name]
            self.opened[name] = Queue(wire, self.sqs.account.url_of(queue), queue.arn)
        return self.opened[name]

    async def send(self, name: str, *bodies: str, **options: Any) -> list[str]:
        """Send as a producer does, or as a relay that dead-letters; the MessageIds."""
        queue = self.sqs.queues[name]
        sent = []
        for index, body in enumerate(bodies):
            stored = accept(_draft(body, index, queue, **options), queue.attributes, self.now())
            queue.add(stored)
            sent.append(stored.message_id)
        return sent

    async def move_by_sqs(self, name: str = "main") -> None:
        """Let SQS dead-letter everything in a queue whose policy allows one receive."""
        while self.sqs.queues[name].take(10, 0.0):
            pass

    def now(self) -> float:
        return self.clock.time()

    def stored(self, name: str) -> tuple[Stored, ...]:
        return self.sqs.queues[name].messages()

    def bodies(self, name: str) -> list[str]:
        return [stored.body for stored in self.stored(name)]

    def origins(self, name: str) -> list[dict[str, Any]]:
        """What our attribute says on each message."""
        return [
            msgspec.json.decode(stored.attributes[ATTRIBUTE].string_value or "null")
            for stored in self.stored(name)
        ]

    def visible(self, name: str) -> int:
        return self.sqs.queues[name].counts()[0]


def _draft(
    body: str,
    index: int,
    queue: StoredQueue,
    attributes: Mapping[str, Attribute] | None = None,
    group_id: str | None = None,
    trace_header: str | None = None,
) -> Draft:
    system = AttributeValue(data_type="String", string_value=trace_header)
    return Draft(
        message_body=body,
        message_attributes={
            name: AttributeValue(data_type=given.data_type, **_value(given.value))
            for name, given in (attributes or {}).items()
        }
        or None,
        message_system_attributes={"AWSTraceHeader": system} if trace_header else None,
        message_group_id=group_id or ("g" if queue.fifo else None),
        message_deduplication_id=f"{index}-{body}"[:120] if queue.fifo else None,
    )


def _value(value: str | bytes) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"binary_value": value}
    return {"string_value": value}


async def send_dead_letters(queues: LocalQueues, count: int) -> list[str]:
    """Dead letters of the relay, each with another base id."""
    bodies = [event(i) for i in range(count)]
    for i, body in enumerate(bodies):
        await queues.send("dead", body, attributes=origin_attribute(f"id-{i}"))
    return bodies


async def send_with_own_ids(queues: LocalQueues, count: int, **more: str) -> None:
    """Dead letters of the relay whose events have ids of their own."""
    for i in range(count):
        attributes = origin_attribute(f"id-{i}", **more)
        await queues.send("dead", event(i, id=f"own-{i}"), attributes=attributes)


def message(body: str = '{"name":"shop/order"}', **more: Any) -> Message:
    return Message(body=body.encode(), message_id="m-1", queue="dead", **more)


def dead_letter(
    body: str = '{"name":"shop/order"}', origin: Origin | None = None, **more: Any
) -> DeadLetter:
    if origin is not None:
        more["attributes"] = {ATTRIBUTE: Attribute("String", origin.pack())}
    return read_dead_letter(message(body, **more), Rules(), "main")
