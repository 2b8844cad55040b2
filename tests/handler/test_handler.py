"""The path of a message: what it must never do is lose one, or acknowledge one that must wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.dead_letter import MAX_BYTES, DeadLetter
from relay.dead_letter_queue import REMEMBERED_FOR, STANDS_FOR, DeadLetterQueue, NotStored
from relay.envelope import Decoded, Rules, decode
from relay.facts import DeadLettered, Fact, Received, Settled
from relay.guard import ENOUGH, RejectGuard
from relay.handler import EXPIRING, GRACE, Handler
from relay.message import (
    Attribute,
    Delivered,
    Event,
    Message,
    Outcome,
    PeriodicTask,
    Reject,
    Retry,
)
from relay.origin import ATTRIBUTE, Origin, unpack
from relay.payloads import CLASSES, NotFetched, Payloads

NOW = 1_767_225_600.0
DAY = 86_400.0
Answer: TypeAlias = Outcome | Callable[[Event], Outcome] | None


class Script:
    """A forwarder that answers by event id; None keeps the event waiting for ever."""

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.sent: list[str] = []
        self.withdrawn: list[str] = []
        self.ambiguous: set[str] = set()

    async def submit(self, event: Event) -> Outcome:
        self.sent.append(event.id)
        answer = self.answers.get(event.id, Delivered(f"ref-{event.id}"))
        if answer is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.withdrawn.append(event.id)
                raise
        assert answer is not None
        return answer(event) if callable(answer) else answer

    def may_have_run(self, event_id: str) -> bool:
        return event_id in self.ambiguous


class Shelf:
    """A dead-letter queue in memory that can be broken."""

    def __init__(self) -> None:
        self.copies: list[DeadLetter] = []
        self.trouble: NotStored | None = None
        self.started = asyncio.Event()
        self.silent: asyncio.Event | None = None

    async def limit(self) -> int:
        return MAX_BYTES

    async def put(self, copy: DeadLetter) -> None:
        self.started.set()
        await asyncio.sleep(0)
        if self.silent is not None:
            await self.silent.wait()
        if self.trouble is not None:
            raise self.trouble
        self.copies.append(copy)


class Bench:
    """A handler with scripted neighbours and a clock that is moved by hand."""

    def __init__(self, answers: dict[str, Answer] | None = None, *, guard: bool = True) -> None:
        self.now = NOW
        self.facts: list[Fact] = []
        self.script = Script(answers)
        self.shelf = Shelf()
        self.woken = asyncio.Event()
        self.dead_letters = DeadLetterQueue(
            self.shelf, observe=self.facts.append, clock=lambda: self.now, sleep=self._sleep
        )
        self.handler = Handler(
            lambda message: decode(message, Rules()),
            self.script,
            self.dead_letters,
            guard=RejectGuard(enabled=guard),
            retention=10 * DAY,
            observe=self.facts.append,
            clock=lambda: self.now,
        )

    async def _sleep(self, _seconds: float) -> None:
        await self.woken.wait()
        self.woken.clear()


def message(body: object, message_id: str = "m-1", **more: object) -> Message:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(body=text, message_id=message_id, queue="main", **more)  # type: ignore[arg-type]


def event(**more: object) -> dict[str, object]:
    return {"name": "a/b", "data": {}, **more}


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def origin(copy: DeadLetter) -> Origin:
    return unpack(copy.attributes[ATTRIBUTE].value)


async def test_a_delivered_event_may_be_acknowledged() -> None:
    bench = Bench()
    assert await bench.handler.handle(message(event())) == Delivered("ref-m-1")
    assert isinstance(bench.facts[0], Received)
    settled = bench.facts[-1]
    assert isinstance(settled, Settled)
    assert [(e.id, o) for e, o in settled.results] == [("m-1", Delivered("ref-m-1"))]


async def test_poison_is_dead_lettered_at_its_first_delivery_with_its_reason() -> None:
    bench = Bench()
    outcome = await bench.handler.handle(message(b"hello", sent_at=NOW - 5))
    assert isinstance(outcome, Reject)
    (copy,) = bench.shelf.copies
    assert copy.body == "hello"
    past = origin(copy)
    assert (past.id, past.code, past.hops, past.source) == ("m-1", "not_json", 1, "main")
    assert past.sent_at == NOW - 5
    assert past.reason
    assert any(isinstance(fact, DeadLettered) for fact in bench.facts)


async def test_a_redelivery_of_a_dead_letter_is_only_acknowledged() -> None:
    bench = Bench()
    await bench.handler.handle(message(b"hello"))
    again = await bench.handler.handle(message(b"hello", receive_count=2))
    assert isinstance(again, Reject)
    assert len(bench.shelf.copies) == 1
    bench.now += REMEMBERED_FOR
    await bench.handler.handle(message(b"hello", receive_count=3))
    assert len(bench.shelf.copies) == 2


async def test_while_one_event_must_wait_the_message_stays() -> None:
    bench = Bench({"m-1.1": Retry("later", 7.0), "m-1.2": Reject("no", "never")})
    outcome = await bench.handler.handle(message([event(), event(), event()]))
    assert outcome == Retry("later", 7.0)
    assert bench.shelf.copies == []


async def test_what_was_accepted_of_a_message_that_stays_is_not_sent_again() -> None:
    bench = Bench({"m-1.1": Retry("later"), "m-1.2": None})
    body = [event(), event(), event()]
    held = asyncio.create_task(bench.handler.handle(message(body)))
    await turns()
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    bench.script.answers = {"m-1.1": Retry("later")}
    assert isinstance(await bench.handler.handle(message(body, receive_count=2)), Retry)
    bench.script.answers = {}
    outcome = await bench.handler.handle(message(body, receive_count=3))
    assert isinstance(outcome, Delivered)
    assert bench.script.sent == ["m-1.0", "m-1.1", "m-1.2", "m-1.1", "m-1.2", "m-1.1"]
    settled = bench.facts[-1]
    assert isinstance(settled, Settled)
    again = [isinstance(one, Delivered) and one.duplicate for _, one in settled.results]
    assert again == [True, False, True]


async def test_when_none_waits_only_the_rejected_events_are_pending() -> None:
    bench = Bench({"m-1.1": Reject("no", "never")})
    body = [event(), event(), {"name": ""}, event()]
    outcome = await bench.handler.handle(message(body))
    assert isinstance(outcome, Reject)
    (copy,) = bench.shelf.copies
    assert json.loads(copy.body) == body
    assert origin(copy).pending == (1, 2)


async def test_a_redriven_array_sends_only_what_was_pending_under_the_same_ids() -> None:
    bench = Bench({"m-1.1": Reject("no", "never")})
    await bench.handler.handle(message([event(), event(), event()]))
    copy = bench.shelf.copies[0]
    bench.script.answers.clear()
    bench.script.sent.clear()
    redriven = message(copy.body.encode(), "m-other", attributes=dict(copy.attributes))
    assert isinstance(await bench.handler.handle(redriven), Delivered)
    assert bench.script.sent == ["m-1.1"]


async def test_a_second_rejection_adds_a_hop_and_keeps_the_first_id() -> None:
    bench = Bench()
    await bench.handler.handle(message(b"hello", sent_at=NOW - 9))
    first = bench.shelf.copies[0]
    again = message(first.body.encode(), "m-2", attributes=dict(first.attributes))
    await bench.handler.handle(again)
    past = origin(bench.shelf.copies[1])
    assert (past.id, past.hops, past.sent_at, past.source) == ("m-1", 2, NOW - 9, "main")


async def test_what_died_unread_is_asked_for_its_own_id_when_it_comes_back() -> None:
    bench = Bench()
    wrong = Handler(
        lambda m: decode(m, Rules(envelope="sns")),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
    )
    body = {"detail-type": "order/placed", "detail": {}, "id": "eb-1", "source": "shop"}
    await wrong.handle(message(body))
    (copy,) = bench.shelf.copies
    again = message(copy.body.encode(), "m-2", attributes=copy.attributes)
    assert isinstance(await bench.handler.handle(again), Delivered)
    assert bench.script.sent == ["eb-1"]


async def test_what_died_unread_and_has_no_own_id_keeps_its_first_one() -> None:
    bench = Bench({"m-1": Reject("no", "never")})
    await bench.dead_letters.put(
        message(event()), Origin(id="m-1", hops=1, undecoded=True), Reject("odd", "odd")
    )
    again = message(event(), "m-2", attributes=bench.shelf.copies[0].attributes)
    await bench.handler.handle(again)
    assert bench.script.sent == ["m-1"]
    past = origin(bench.shelf.copies[1])
    assert (past.id, past.hops, past.undecoded) == ("m-1", 2, False)


async def test_a_dead_lettered_periodic_task_is_the_same_task_when_redriven() -> None:
    bench = Bench({"main:nightly@2026-01-02T00:00:00Z": Reject("no", "never")})
    task = PeriodicTask("nightly", "2026-01-02T00:00:00Z")
    await bench.handler.handle(message(b"", task=task))
    (copy,) = bench.shelf.copies
    bench.script.answers.clear()
    redriven = message(copy.body.encode(), "m-2", attributes=dict(copy.attributes))
    assert isinstance(await bench.handler.handle(redriven), Delivered)
    assert len(set(bench.script.sent)) == 1


async def test_a_damaged_past_is_named_and_may_have_run() -> None:
    bench = Bench()
    broken = message(event(), attributes={ATTRIBUTE: Attribute("String", "{}")})
    outcome = await bench.handler.handle(broken)
    assert isinstance(outcome, Reject)
    past = origin(bench.shelf.copies[0])
    assert (past.code, past.may_have_run, past.lost) == ("bad_origin", True, (ATTRIBUTE,))


async def test_two_deliveries_of_one_message_share_its_outcome() -> None:
    bench = Bench({"m-1": None})
    first = asyncio.create_task(bench.handler.handle(message(event())))
    await turns()
    second = asyncio.create_task(bench.handler.handle(message(event(), receive_count=2)))
    await turns()
    assert bench.script.sent == ["m-1"]
    first.cancel()
    await turns()
    assert bench.script.withdrawn == []
    second.cancel()
    await turns()
    assert bench.script.withdrawn == ["m-1"]
    assert bench.handler.status.in_hand == 0


async def test_a_delivery_right_after_the_last_one_left_starts_anew() -> None:
    bench = Bench({"m-1": None})
    first = asyncio.create_task(bench.handler.handle(message(event())))
    await turns()
    first.cancel()
    await turns(1)
    bench.script.answers.clear()
    assert isinstance(await bench.handler.handle(message(event())), Delivered)


async def test_a_copy_on_its_way_is_remembered_although_nobody_waits_any_more() -> None:
    bench = Bench()
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await bench.shelf.started.wait()
    task.cancel()
    await bench.dead_letters.drain()
    await turns()
    assert len(bench.shelf.copies) == 1
    assert isinstance(await bench.handler.handle(message(b"hello")), Reject)
    assert len(bench.shelf.copies) == 1


async def test_a_stop_waits_no_longer_than_it_may_for_a_queue_that_does_not_answer() -> None:
    bench = Bench()
    bench.shelf.silent = asyncio.Event()
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await bench.shelf.started.wait()
    await bench.dead_letters.drain(0.01)
    assert not task.done()
    bench.shelf.silent.set()
    assert isinstance(await task, Reject)


async def test_a_passing_trouble_of_the_dead_letter_queue_makes_the_message_wait() -> None:
    bench = Bench()
    bench.shelf.trouble = NotStored("SQS throttles")
    assert await bench.handler.handle(message(b"hello")) == Retry("SQS throttles")
    assert bench.handler.status.problem is None


async def test_a_missing_permission_halts_what_would_die_until_it_is_there() -> None:
    bench = Bench()
    bench.shelf.trouble = NotStored("sqs:SendMessage is denied", setting="RELAY_DLQ_URL")
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await turns()
    assert not task.done()
    assert bench.handler.status.problem == "sqs:SendMessage is denied"
    assert bench.handler.status.setting == "RELAY_DLQ_URL"
    assert isinstance(await bench.handler.handle(message(event(), "m-2")), Delivered)
    bench.shelf.trouble = None
    bench.woken.set()
    assert isinstance(await task, Reject)
    assert bench.handler.status.problem is None


async def test_a_halt_of_which_nothing_was_heard_for_long_is_over() -> None:
    bench = Bench()
    bench.shelf.trouble = NotStored("sqs:SendMessage is denied", setting="RELAY_DLQ_URL")
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await turns()
    task.cancel()  # another relay gets the message, once the permission is there
    await asyncio.gather(task, return_exceptions=True)
    bench.now += STANDS_FOR - 1
    assert bench.handler.status.setting == "RELAY_DLQ_URL"
    bench.now += 2
    assert bench.handler.status.problem is None
    assert bench.handler.status.setting is None


async def test_what_sqs_cannot_hold_with_its_reason_is_left_to_its_own_redrive() -> None:
    bench = Bench()
    letters: list[int] = []

    class Small(Shelf):
        async def limit(self) -> int:
            letters.append(1)
            return 300

    handler = Handler(
        lambda m: decode(m, Rules()),
        bench.script,
        DeadLetterQueue(Small()),
        guard=RejectGuard(),
    )
    noise = bytes(range(33, 127)) * 20
    outcome = await handler.handle(message(noise))
    assert isinstance(outcome, Retry)
    assert "not_json" in outcome.reason
    assert letters


@pytest.mark.parametrize("ambiguous", [False, True])
async def test_a_wait_ends_before_the_queue_deletes_the_message(ambiguous: bool) -> None:
    bench = Bench({"m-1": None})
    if ambiguous:
        bench.script.ambiguous.add("m-1")
    task = asyncio.create_task(
        bench.handler.handle(message(event(), sent_at=NOW - 10 * DAY * EXPIRING + 100))
    )
    await turns()
    bench.handler.expire()
    await turns()
    assert not task.done()
    bench.now += 101 + GRACE
    bench.handler.expire()
    outcome = await task
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"
    assert origin(bench.shelf.copies[0]).may_have_run is ambiguous


@pytest.mark.parametrize(
    ("receives", "doubtful"),
    [([1], False), ([1, 1, 2, 3], False), ([2], True), ([1, 3], True), ([3, 3], True)],
)
async def test_what_another_process_may_have_sent_before_may_have_run(
    receives: list[int], doubtful: bool
) -> None:
    bench = Bench({"m-1": Retry("later")})
    for count in receives[:-1]:
        await bench.handler.handle(message(event(), sent_at=NOW, receive_count=count))
    bench.now += 9.5 * DAY
    await bench.handler.handle(message(event(), sent_at=NOW, receive_count=receives[-1]))
    assert origin(bench.shelf.copies[0]).may_have_run is doubtful


async def test_an_array_of_which_some_was_delivered_before_it_expired_may_have_run() -> None:
    bench = Bench({"m-1.1": None})
    task = asyncio.create_task(bench.handler.handle(message([event(), event()], sent_at=NOW)))
    await turns()
    task.cancel()  # the hold is over; the message comes again during an outage that goes on
    await asyncio.gather(task, return_exceptions=True)
    bench.script.answers["m-1.0"] = bench.script.answers["m-1.1"] = Retry("later")
    bench.now += 9.5 * DAY
    again = message([event(), event()], sent_at=NOW, receive_count=2)
    await bench.handler.handle(again)
    assert origin(bench.shelf.copies[0]).pending == (1,)
    assert origin(bench.shelf.copies[0]).may_have_run


async def test_what_was_delivered_but_comes_again_and_expires_may_have_run() -> None:
    bench = Bench()
    await bench.handler.handle(message(event(), sent_at=NOW))
    bench.script.answers["m-1"] = Retry("later")
    bench.now += 9.5 * DAY
    await bench.handler.handle(message(event(), sent_at=NOW, receive_count=2))
    assert origin(bench.shelf.copies[0]).may_have_run


async def test_the_rest_of_an_array_that_expires_was_not_run_for_its_neighbour() -> None:
    bench = Bench({"m-1.1": Retry("later")})
    old = message([event(), event()], sent_at=NOW - 9.5 * DAY)
    await bench.handler.handle(old)
    assert origin(bench.shelf.copies[0]).pending == (1,)
    assert not origin(bench.shelf.copies[0]).may_have_run


async def test_an_array_that_expires_is_not_kept_by_the_guard() -> None:
    bench = Bench({"m-1.1": None})
    flood = [
        asyncio.create_task(bench.handler.handle(message({"data": {}}, f"bad-{n}")))
        for n in range(60)
    ]
    await turns(400)
    assert bench.handler.status.problem is not None
    before = len(bench.shelf.copies)
    body = [{"data": {}}, event()]
    task = asyncio.create_task(bench.handler.handle(message(body, sent_at=NOW - 9.5 * DAY)))
    await turns()
    bench.now += 1 + GRACE
    bench.handler.expire()
    await turns()
    assert len(bench.shelf.copies) == before + 1
    for one in (task, *flood):
        one.cancel()
    await asyncio.gather(task, *flood, return_exceptions=True)


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_a_payload_that_is_gone_may_have_been_there_for_another_process(
    receives: int, doubtful: bool
) -> None:
    async def gone(bucket: str, key: str, limit: int) -> bytes:
        raise NotFetched("there is no such object", "payload_missing")

    bench = Bench()
    handler = Handler(
        lambda m: decode(m, Rules()),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
        payloads=Payloads(gone, buckets=frozenset({"large"})),
    )
    pointer = [CLASSES[0], {"s3BucketName": "large", "s3Key": "k"}]
    await handler.handle(message(pointer, receive_count=receives))
    assert origin(bench.shelf.copies[0]).may_have_run is doubtful


async def test_a_payload_that_is_gone_after_an_attempt_of_unknown_end_may_have_run() -> None:
    stored = [json.dumps(event()).encode()]

    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        if not stored:
            raise NotFetched("there is no such object", "payload_missing")
        return stored.pop()

    bench = Bench({"m-1": Retry("no answer")})
    bench.script.ambiguous.add("m-1")
    handler = Handler(
        lambda m: decode(m, Rules()),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
        payloads=Payloads(fetch, buckets=frozenset({"large"})),
    )
    pointer = [CLASSES[0], {"s3BucketName": "large", "s3Key": "k"}]
    assert isinstance(await handler.handle(message(pointer)), Retry)
    await handler.handle(message(pointer, receive_count=2))
    assert origin(bench.shelf.copies[0]).may_have_run


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_what_is_refused_for_a_setting_may_have_been_sent_under_another_one(
    receives: int, doubtful: bool
) -> None:
    bench = Bench()
    handler = Handler(
        lambda m: decode(m, Rules(envelope="sns")),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
    )
    await handler.handle(message(event(), receive_count=receives))
    past = origin(bench.shelf.copies[0])
    assert (past.code, past.may_have_run) == ("wrong_envelope", doubtful)


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_an_event_that_is_refused_for_a_setting_may_have_been_sent_under_another_one(
    receives: int, doubtful: bool
) -> None:
    bench = Bench()
    handler = Handler(
        lambda m: decode(m, Rules(max_event_bytes=1_024)),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
    )
    body = [event(), event(data={"text": "x" * 2_000})]
    await handler.handle(message(body, receive_count=receives))
    past = origin(bench.shelf.copies[0])
    assert (past.code, past.pending, past.may_have_run) == ("event_too_large", (1,), doubtful)


async def test_where_nobody_tells_when_a_message_was_sent_its_first_receive_counts() -> None:
    bench = Bench({"m-1": Retry("later")})
    first = NOW - 9.5 * DAY
    outcome = await bench.handler.handle(message(event(), first_received_at=first))
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"


async def test_what_the_guard_holds_takes_no_other_payloads_place() -> None:
    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        return b"nonsense" if key == "bad" else json.dumps(event()).encode()

    bench = Bench()
    handler = Handler(
        lambda m: decode(m, Rules()),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
        payloads=Payloads(fetch, buckets=frozenset({"large"}), at_once=1),
    )

    def pointing(key: str, message_id: str) -> Message:
        return message([CLASSES[0], {"s3BucketName": "large", "s3Key": key}], message_id)

    flood = [
        asyncio.create_task(handler.handle(pointing("bad", f"m-{n}"))) for n in range(2 * ENOUGH)
    ]
    await turns(800)
    assert handler.status.problem is not None
    good = asyncio.create_task(handler.handle(pointing("good", "good")))
    await turns(800)
    assert good.done()
    for one in flood:
        one.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert isinstance(await good, Delivered)


async def test_an_old_message_gets_one_honest_try_and_then_expires_instead_of_waiting() -> None:
    old = NOW - 9.5 * DAY
    bench = Bench({"bad": Retry("later")})
    assert isinstance(await bench.handler.handle(message(event(), sent_at=old)), Delivered)
    outcome = await bench.handler.handle(message(event(id="bad"), "m-2", sent_at=old))
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"


async def test_the_guard_holds_a_flood_of_one_code() -> None:
    bench = Bench()
    tasks = [
        asyncio.create_task(bench.handler.handle(message(b"hello", f"m-{n}"))) for n in range(100)
    ]
    await turns(400)
    assert len(bench.shelf.copies) < ENOUGH
    assert bench.handler.status.setting == "RELAY_ENVELOPE"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_the_guard_holds_is_dead_lettered_before_the_queue_deletes_it() -> None:
    bench = Bench()
    tasks = [
        asyncio.create_task(
            bench.handler.handle(message(b"hello", f"m-{n}", sent_at=NOW - 8.9 * DAY))
        )
        for n in range(60)
    ]
    await turns(400)
    assert len(bench.shelf.copies) < ENOUGH
    bench.now += DAY
    bench.handler.expire()
    await asyncio.gather(*tasks)
    assert len(bench.shelf.copies) == 60


async def test_an_s3_test_event_is_acknowledged_and_noticed() -> None:
    bench = Bench()
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "media"}
    assert isinstance(await bench.handler.handle(message(body)), Delivered)
    assert bench.script.sent == []


answers = st.sampled_from(
    [Delivered("r"), Retry("later"), Retry("soon", 3.0), Reject("no", "never"), None]
)


@given(
    bodies=st.lists(st.lists(answers, min_size=1, max_size=4), min_size=1, max_size=5),
    trouble=st.sampled_from([None, NotStored("throttled")]),
    cancelled=st.sets(st.integers(0, 4)),
)
def test_no_message_is_lost_for_any_script(
    bodies: list[list[Answer]], trouble: NotStored | None, cancelled: set[int]
) -> None:
    asyncio.run(_script(bodies, trouble, cancelled))


async def _script(
    bodies: list[list[Answer]], trouble: NotStored | None, cancelled: set[int]
) -> None:
    answers: dict[str, Answer] = {
        f"m-{m}.{e}": answer for m, body in enumerate(bodies) for e, answer in enumerate(body)
    }
    bench = Bench(answers)
    bench.shelf.trouble = trouble
    tasks = [
        asyncio.create_task(bench.handler.handle(message([event() for _ in body], f"m-{m}")))
        for m, body in enumerate(bodies)
    ]
    await turns(60)
    for number, task in enumerate(tasks):
        if number in cancelled or None in bodies[number]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    stored = {origin(copy).id: origin(copy).pending for copy in bench.shelf.copies}
    for number, (task, body) in enumerate(zip(tasks, bodies, strict=True)):
        if task.cancelled():
            continue
        outcome = task.result()
        rejected = [e for e, answer in enumerate(body) if isinstance(answer, Reject)]
        if isinstance(outcome, Delivered):
            assert all(isinstance(answer, Delivered) for answer in body)
        elif isinstance(outcome, Reject):
            expected = None if len(body) == 1 else tuple(rejected)
            assert not any(isinstance(answer, Retry) for answer in body)
            assert stored[f"m-{number}"] in (expected, tuple(rejected))
        else:
            assert trouble or any(isinstance(answer, Retry) for answer in body)
    await bench.dead_letters.drain()


def test_an_attribute_in_any_case_is_found() -> None:
    attribute = Attribute("String", "x")
    assert message({}, attributes={"Order-Id": attribute}).attribute("order-id") == attribute
    assert replace(message({}), attributes={}).attribute("order-id") is None


def test_decoded_is_what_decode_gives() -> None:
    assert isinstance(decode(message(event()), Rules()), Decoded)
