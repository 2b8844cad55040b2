"""The order of messages within FIFO groups."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from relay.local.sqs.faults import Request
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.sources.poller.lease import Lease
from relay.sources.poller.scheduler import GroupScheduler
from tests.sources.poller.rig import Rig, until


async def test_groups_are_parallel_and_each_keeps_its_order(fifo: Rig) -> None:
    groups = {f"g{g}": [f"g{g}-{i}" for i in range(5)] for g in range(4)}
    for group, bodies in groups.items():
        await fifo.send(bodies, group=group)
    fifo.handler.hold(*(bodies[0] for bodies in groups.values()))
    async with fifo.running():
        await until(lambda: len(fifo.handler.running) == 4)
        fifo.handler.free()
        await until(lambda: not fifo.states)
    for group, bodies in groups.items():
        assert [body for body in fifo.handler.started if body.startswith(group)] == bodies


async def test_a_message_that_must_wait_holds_its_group_and_no_other(fifo: Rig) -> None:
    await fifo.send(["a1", "a2", "a3"], group="a")
    await fifo.send(["b1"], group="b")
    fifo.handler.answers["a1"] = Retry("not now", after=60.0)
    async with fifo.running():
        await until(lambda: fifo.handler.started and "b1" not in fifo.states)
        await until(lambda: [*fifo.states.values()].count("in_flight") == 1)
        assert "a2" not in fifo.handler.started
        fifo.handler.answers.clear()
        await fifo.pass_time(lambda: not fifo.states)
    assert [body for body in fifo.handler.started if body[0] == "a"] == ["a1", "a1", "a2", "a3"]


async def test_a_held_group_is_released_in_reverse_with_its_head_last(fifo: Rig) -> None:
    bodies = [f"m{i}" for i in range(4)]
    await fifo.send(bodies, group="g")
    fifo.handler.hold("m0")
    fifo.handler.answers["m0"] = Retry("not now", after=60.0)
    changed: list[str] = []
    serials: dict[str, str] = {}

    def record(request: Request) -> None:
        if request.action == "ChangeMessageVisibilityBatch":
            changed.extend(serials[e["ReceiptHandle"]] for e in request.payload["Entries"])

    fifo.server._app._faults = record
    async with fifo.running() as poller:
        await until(lambda: fifo.handler.running and poller.status.in_flight == 4)
        assert poller._deliveries is not None
        serials.update({one.handle: one.message.body.decode() for one in poller._deliveries.leases})
        fifo.handler.free()
        await until(lambda: len(changed) == 4)
        assert changed == ["m3", "m2", "m1", "m0"]


async def test_a_dead_lettered_head_lets_its_group_go_on(fifo: Rig) -> None:
    await fifo.send(["a1", "a2"], group="a")
    fifo.handler.answers["a1"] = Reject("bad", "It is bad.")
    async with fifo.running():
        await until(lambda: not fifo.states)
    assert fifo.handler.started == ["a1", "a2"]


async def test_a_dead_lettered_head_parks_its_group_if_configured(fifo: Rig) -> None:
    await fifo.send(["a1", "a2"], group="a")
    await fifo.send(["b1"], group="b")
    fifo.handler.answers["a1"] = Reject("bad", "It is bad.")
    async with fifo.running(limits={"stop_on_reject": True}) as poller:
        await until(lambda: list(fifo.states) == ["a2"])
        end = fifo.clock.time() + 2_000
        await fifo.pass_time(lambda: fifo.clock.time() >= end, step=5)
        assert fifo.states.keys() == {"a2"}
        assert poller.status.in_flight == 0
        assert [stored.receive_count for stored in fifo.server_queue.messages()] <= [4]
    assert fifo.handler.started.count("a2") == 0


async def test_a_stop_releases_groups_in_reverse(fifo: Rig) -> None:
    bodies = [f"m{i}" for i in range(5)]
    await fifo.send(bodies, group="g")
    fifo.handler.hold("m0")
    async with fifo.running() as poller:
        await until(lambda: fifo.handler.running and poller.status.in_flight == 5)
        poller.stop()
        await fifo.pass_time(lambda: poller.status.in_flight == 1)
        fifo.handler.free()
        await until(lambda: poller.status.in_flight == 0)
    async with fifo.running():
        await until(lambda: not fifo.states)
    assert fifo.handler.started == bodies


def lease(group: str, number: int) -> Lease:
    message = Message(body=b"", message_id=f"{group}{number}", queue="q.fifo", group_id=group)
    return Lease(message, handle="", received_at=0, deadline=30, renew_at=15)


outcomes = st.sampled_from([Delivered(), Reject("bad", "It is bad."), Retry("wait"), None])
steps = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("abc")),
    st.tuples(st.just("end"), outcomes),
    st.tuples(st.just("drop"), st.integers(0, 20)),
)


@given(st.lists(steps, max_size=60), st.booleans())
def test_no_message_overtakes_another_of_its_group(
    script: list[tuple[str, object]],
    stop_on_reject: bool,
) -> None:
    line = GroupScheduler(stop_on_reject=stop_on_reject)
    sent: dict[str, int] = defaultdict(int)
    waiting: list[Lease] = []
    running: list[Lease] = []
    blocked: set[str] = set()  # an earlier message was released: no later one may start
    ended = 0
    for what, argument in script:
        if what == "add" and argument not in blocked:
            group = str(argument)
            one = lease(group, sent[group])
            sent[group] += 1
            if line.admits(one):
                line.add(one)
                waiting.append(one)
        elif what == "end" and running:
            one = running.pop(0)
            ended += 1
            outcome: Outcome | None = argument  # type: ignore[assignment]  # as drawn
            back = line.end(one, outcome)
            if not isinstance(outcome, Delivered | Reject):
                blocked.add(str(one.message.group_id))
            assert back == sorted(back, key=lambda o: -int(o.message.message_id[1:]))
            waiting = [o for o in waiting if o not in back]
        elif what == "drop" and waiting:
            one = waiting[int(str(argument)) % len(waiting)]
            back = line.drop(one)
            blocked.add(str(one.message.group_id))
            waiting = [o for o in waiting if o is not one and o not in back]
        while (next_one := line.take()) is not None:
            group = str(next_one.message.group_id)
            assert all(o.message.group_id != group for o in running)
            earlier = [o for o in waiting if o.message.group_id == group]
            assert earlier[0] is next_one
            waiting.remove(next_one)
            running.append(next_one)
    assert {id(o) for o in line.drain()} == {id(o) for o in waiting}
