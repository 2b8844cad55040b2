"""A dead letter with only the beginning of its body is shown, and never redriven as if whole."""

import json
import os

from relay.delivery.dead_letter_copy import DeadLetterCopy, truncated_copy
from relay.model.message import Message
from relay.model.origin import Origin
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event
from tests.dlq.redriver import Redriver

BODY = event(id="mine", data={"x": os.urandom(150_000).hex()})
ORIGIN = Origin(id="base", hops=1, source="main", code="event_too_large", reason="it is too large")


def truncated() -> DeadLetterCopy:
    message = Message(body=BODY.encode(), message_id="m-1", queue="main")
    return truncated_copy(message, ORIGIN, 65_536)


async def test_it_is_not_redriven(redriver: Redriver, queues: LocalQueues) -> None:
    copy = truncated()
    await queues.send("dead", copy.body, attributes=copy.attributes)
    counts = await redriver.redrive()
    assert counts.skipped == {"body_truncated": 1}
    assert "only the beginning" in counts.reasons["body_truncated"]
    assert "drop" in counts.reasons["body_truncated"]
    assert (queues.visible("dead"), queues.bodies("main")) == (1, [])


async def test_an_edit_or_a_rerun_does_not_make_it_whole(
    redriver: Redriver, queues: LocalQueues
) -> None:
    copy = truncated()
    await queues.send("dead", copy.body, attributes=copy.attributes)
    counts = await redriver.redrive(edit=lambda _: {"name": "a/b"}, rerun=True)
    assert counts.skipped == {"body_truncated": 1}
    assert queues.bodies("main") == []


async def test_its_beginning_is_shown(relay: Relay, queues: LocalQueues) -> None:
    copy = truncated()
    await queues.send("dead", copy.body, attributes=copy.attributes)
    shown = await relay("dlq", "show", "base", *QUICK)
    assert "body_truncated" in shown.out
    assert f"of its {len(BODY)} bytes" in shown.out
    assert BODY[:200] in shown.out
    whole = json.loads((await relay("dlq", "show", "base", "--json", *QUICK)).out)
    assert BODY.startswith(whole["beginning"])
    assert len(whole["beginning"]) > 60_000
    assert (whole["code"], whole["encoding"]) == ("event_too_large", "truncated+gzip+base64")


async def test_the_plan_says_why_it_stays_and_a_drop_removes_it(
    relay: Relay, queues: LocalQueues
) -> None:
    copy = truncated()
    await queues.send("dead", copy.body, attributes=copy.attributes)
    planned = await relay("dlq", "redrive", *QUICK)
    assert "only the beginning" in planned.out + planned.err
    moved = await relay("dlq", "redrive", "--native", *QUICK)
    assert "only the beginning" in moved.err
    words = ("--code", "event_too_large", *QUICK)
    dropped = await relay("dlq", "drop", *words, stdin="dead\n")
    assert dropped.code == 0, dropped
    assert queues.visible("dead") == 0
