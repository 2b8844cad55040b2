"""Each entry of a batch is settled by its own result."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from relay.local.sqs.faults import Fault
from relay.model.facts import DeleteFailed, ReleaseFailed
from relay.model.outcome import Retry
from relay.sources.poller.settling import MAX_BACKOFF, backoff
from tests.sources.poller.rig import Rig, until


async def test_a_failed_delete_is_retried_for_its_entry(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(10)]
    await rig.send(bodies)
    rig.server.faults.add(
        Fault(action="DeleteMessageBatch", entries={2: "InternalError", 7: "RequestThrottled"}),
        Fault(action="DeleteMessageBatch", entries={0: "InternalError"}),
    )
    async with rig.running(limits={"linger": 0.1}):
        await rig.pass_time(lambda: not rig.states, step=0.1)
    assert sorted(rig.handler.started) == sorted(bodies)
    assert rig.counts["DeleteFailed"] == 0


async def test_a_delete_that_fails_until_the_lease_ends_is_counted_and_the_message_redelivered(
    rig: Rig,
) -> None:
    await rig.send(["m"])
    rig.server.faults.add(
        Fault(action="DeleteMessageBatch", entries={0: "InternalError"}, times=None)
    )
    async with rig.running():
        await rig.pass_time(lambda: rig.counts["DeleteFailed"])
        rig.server.faults.clear()
        await rig.pass_time(lambda: not rig.states)
    (failed,) = (fact for fact in rig.facts if isinstance(fact, DeleteFailed))
    assert "InternalError" in failed.reason or failed.reason
    assert rig.handler.started == ["m", "m"]


async def test_a_delete_without_an_answer_is_retried(rig: Rig) -> None:
    await rig.send(["m"])
    rig.server.faults.add(
        Fault(action="DeleteMessageBatch", drop=True),
        Fault(action="DeleteMessageBatch", refuse=True),
    )
    async with rig.running():
        await rig.pass_time(lambda: not rig.states, step=0.1)
    assert rig.handler.started == ["m"]


async def test_a_stale_handle_deletes_as_well(rig: Rig) -> None:
    await rig.send(["m"])
    rig.server.faults.add(Fault(action="DeleteMessageBatch", stale=True))
    async with rig.running():
        await rig.pass_time(lambda: not rig.states)
    assert rig.handler.started == ["m"]


async def test_a_message_that_comes_back_after_its_delete_is_handled_again(rig: Rig) -> None:
    await rig.send(["m"])
    rig.server.faults.add(Fault(action="DeleteMessageBatch", duplicate=True))
    async with rig.running():
        await rig.pass_time(lambda: not rig.states)
    assert rig.handler.started == ["m", "m"]


async def test_a_failed_visibility_change_is_retried(rig: Rig) -> None:
    await rig.send(["m"])
    rig.handler.answers["m"] = Retry("not now", after=300.0)
    rig.server.faults.add(
        Fault(action="ChangeMessageVisibilityBatch", entries={0: "InternalError"}, times=3)
    )
    async with rig.running() as poller:
        await rig.pass_time(lambda: rig.handler.started and poller.status.in_flight == 0, step=0.1)
        (stored,) = rig.server_queue.messages()
        assert stored.visible_at - rig.clock.time() > 290


async def test_a_visibility_change_that_sqs_will_never_grant_is_counted(rig: Rig) -> None:
    await rig.send(["m"])
    rig.handler.answers["m"] = Retry("not now", after=300.0)
    rig.server.faults.add(
        Fault(
            action="ChangeMessageVisibilityBatch",
            entries={0: "InvalidParameterValue"},
            sender_fault=True,
        )
    )
    async with rig.running():
        await until(lambda: rig.counts["ReleaseFailed"])
    assert any(isinstance(fact, ReleaseFailed) for fact in rig.facts)


async def test_a_retry_beyond_twelve_hours_is_cut_to_what_is_left(rig: Rig) -> None:
    await rig.send(["m"])
    rig.handler.answers["m"] = Retry("much later", after=1e6)
    async with rig.running() as poller:
        await until(lambda: rig.handler.started and poller.status.in_flight == 0)
        (stored,) = rig.server_queue.messages()
        assert 43_190 <= stored.visible_at - rig.clock.time() <= 43_200
    assert rig.counts["ReleaseFailed"] == 0


@given(st.integers(-1, 10_000), st.integers())
def test_backoff_grows_with_the_receives_and_stays_in_its_bounds(count: int, seed: int) -> None:
    assert 1.0 <= backoff(count, random.Random(seed).uniform) <= MAX_BACKOFF
    assert backoff(count, lambda _, high: high) <= backoff(count + 1, lambda _, high: high)
