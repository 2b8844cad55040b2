"""An incident: 325 dead letters of nine kinds, of which 90 would be dead-lettered again.

It was a bad night for the shop. The orchestrator refused events alone (mended since) and was down
for a while, the relay was down as well, and three producers published what can never be delivered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from relay.model.message import Attribute
from tests.dlq.queues import LocalQueues, origin_attribute

MAIN, DEAD = "shop-events", "shop-events-dlq"
PENDING = 1
"""The position of the only event of each batch that is not delivered yet."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Dead letters of one cause: `name` and `code` as `stats` shows them.

    `copies` of them have the same body as another one: their producer published it twice.
    `fails` says whether the relay would reject them again.
    """

    name: str
    code: str
    reason: str
    count: int
    fails: bool = False
    copies: int = 0


PACKED = Kind(
    "shop/parcel.packed",
    "fails_alone",
    "fails alone while others are accepted: 500: parcel rule 7",
    120,
)
INVOICES = Kind(
    "shop/invoice.created",
    "expiring",
    "the queue was about to delete it: the orchestrator was down",
    60,
)
ORDERS = Kind(
    "shop/order.paid",
    "ts_in_seconds",
    "the event's ts is 1777852800, a time in seconds; it must be in milliseconds",
    40,
    fails=True,
)
REFUNDS = Kind(
    "shop/refund.issued", "moved_by_sqs", "SQS moved it by the queue's redrive policy", 30
)
BATCHES = Kind("shop/stock.counted", "fails_alone", "fails alone: 500: stock rule 2", 25, copies=5)
EXPORTS = Kind("(no event)", "not_json", "the body is not JSON: line 1, column 27", 20, fails=True)
CARTS = Kind(
    "shop/cart.left",
    "data_not_object",
    "the event's data is an array, not an object",
    15,
    fails=True,
)
NAMELESS = Kind("(no event)", "missing_name", "the event has no name", 12, fails=True)
CONFIRMATIONS = Kind(
    "(no event)", "sns_confirmation", "SNS asks to confirm a subscription", 3, fails=True
)
KINDS = (
    PACKED,
    INVOICES,
    ORDERS,
    REFUNDS,
    BATCHES,
    EXPORTS,
    CARTS,
    NAMELESS,
    CONFIRMATIONS,
)
COUNT = sum(kind.count for kind in KINDS)
FAILING = sum(kind.count for kind in KINDS if kind.fails)
COPIES = sum(kind.copies for kind in KINDS)


async def make_incident(
    queues: LocalQueues, main: str = MAIN, dead: str = DEAD, *, at: float | None = None
) -> None:
    """Make both queues and fill the dead-letter queue; it ends at `at`, by default now."""
    end = time.time() if at is None else at
    began = end - 6 * 3_600.0
    queues.clock.advance(began - queues.clock.time())
    queues.make(dead, MessageRetentionPeriod="1209600")
    queues.make(main, dead)
    await _send_refunds(queues, main)
    step = (end - began) / COUNT
    for number, (kind, index) in enumerate(_in_turn()):
        queues.clock.advance(began + number * step - queues.clock.time())
        await queues.send(dead, body_of(kind, index), attributes=_origin(kind, index, queues, main))
    queues.clock.advance(end - queues.clock.time())


def body_of(kind: Kind, index: int) -> str:
    """The body of one of a kind. The last `copies` of them have the body of an earlier one."""
    original = index - kind.count // 2 if index >= kind.count - kind.copies else index
    return json.dumps(value) if (value := _value(kind, original)) is not None else _EXPORT


_EXPORT = '{"name":"shop/export.done","data":{"rows":['
"""What the export job publishes when it is out of memory."""


def _value(kind: Kind, index: int) -> Any:
    number = f"{index:03}"
    own = {"name": kind.name, "id": f"{kind.name.rpartition('.')[0].partition('/')[2]}-{number}"}
    values: Mapping[Kind, Any] = {
        ORDERS: own | {"ts": 1_777_852_800 + index, "data": {"order": 8_800 + index}},
        CARTS: own | {"data": [{"sku": "A-1", "pieces": 2}]},
        NAMELESS: {"id": f"click-{number}", "data": {"page": "/checkout"}},
        CONFIRMATIONS: {
            "Type": "SubscriptionConfirmation",
            "Message": "You have chosen to subscribe",
            "TopicArn": "arn:aws:sns:us-east-1:000000000000:shop",
        },
        BATCHES: [
            {"name": kind.name, "id": f"stock-{number}-{i}", "data": {"shelf": i}} for i in range(3)
        ],
        EXPORTS: None,
    }
    # Larger than a double holds: it has to arrive as it is.
    return values.get(kind, own | {"data": {"number": index, "account": 2**63 + index}})


def _in_turn() -> list[tuple[Kind, int]]:
    """Every dead letter of the relay, the kinds mixed as they arrived."""
    kinds = [kind for kind in KINDS if kind is not REFUNDS]
    everyone = [
        ((index + 0.5) / kind.count, kind.code, kind, index)
        for kind in kinds
        for index in range(kind.count)
    ]
    return [(kind, index) for _, _, kind, index in sorted(everyone, key=lambda one: one[:2])]


def _origin(kind: Kind, index: int, queues: LocalQueues, main: str) -> dict[str, Attribute]:
    more: dict[str, Any] = {"pending": (PENDING,)} if kind is BATCHES else {}
    return origin_attribute(
        str(uuid5(NAMESPACE_URL, f"{kind.name} {kind.code} {index}")),
        code=kind.code,
        reason=kind.reason,
        source=main,
        sent_at=queues.now() - 60.0,
        **more,
    )


async def _send_refunds(queues: LocalQueues, main: str) -> None:
    """No relay ran, and SQS moved them by itself: they have no attribute of the relay."""
    await queues.send(main, *(body_of(REFUNDS, index) for index in range(REFUNDS.count)))
    while queues.visible(main):
        await queues.move_by_sqs(main)
        queues.clock.advance(60.0)
