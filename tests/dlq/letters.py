"""Letters made by hand, which no queue has held."""

from typing import Any

from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.envelope import Rules
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin

DAY = 86_400.0


def message(body: str = '{"name":"shop/order"}', **more: Any) -> Message:
    return Message(body=body.encode(), message_id="m-1", queue="dead", **more)


def dead_letter(
    body: str = '{"name":"shop/order"}', origin: Origin | None = None, **more: Any
) -> DeadLetter:
    if origin is not None:
        more["attributes"] = {ATTRIBUTE: Attribute("String", origin.pack())}
    return read_dead_letter(message(body, **more), Rules(), "main")
