"""One invocation: what is reported as failed, until when, and for how long it is hidden."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from relay.aws.errors import AwsError
from relay.aws.sqs_values import Failed
from relay.model.outcome import Delivered, Reject, Retry
from relay.sources.lambda_batch import LAST_STEPS, Changes, hide_for
from relay.sources.lambda_event import InvocationFailed
from tests.forwarding.virtual_time import now, run
from tests.sources.lambda_records import FIFO, VISIBILITY, Handling, record

POISON = Reject("missing_name", "the event has no name")


def fifo(name: str, group: str, receives: int = 1) -> dict[str, object]:
    return record(name, arn=FIFO, group=group, receives=receives)


def test_only_what_was_neither_delivered_nor_dead_lettered_is_reported() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"m-1": Retry("later"), "m-2": POISON}
        assert await handling.failed(*(record(f"m-{n}") for n in range(4))) == ["m-1"]
        assert await handling.failed(record("m-0")) == []

    run(main)


def test_the_messages_of_a_standard_queue_are_handled_at_the_same_time() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {f"m-{n}": 5.0 for n in range(10)}
        assert await handling.failed(*(record(f"m-{n}", group="tenant") for n in range(10))) == []
        assert now() == pytest.approx(5.0)

    run(main)


def test_after_the_first_failure_of_a_group_the_rest_of_it_is_reported_and_not_sent() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"a-2": Retry("later")}
        batch = [fifo(f"{group}-{n}", group) for n in range(1, 5) for group in "ab"]
        assert await handling.failed(*batch) == ["a-2", "a-3", "a-4"]
        assert [name for name in handling.handled if name[0] == "a"] == ["a-1", "a-2"]
        assert [name for name in handling.handled if name[0] == "b"] == ["b-1", "b-2", "b-3", "b-4"]

    run(main)


def test_a_dead_lettered_message_lets_its_group_go_on_unless_configured_otherwise() -> None:
    async def main() -> None:
        batch = [fifo(f"a-{n}", "a") for n in range(1, 4)]
        for stop, expected in ((False, []), (True, ["a-2", "a-3"])):
            handling = Handling(stop_on_reject=stop)
            handling.outcomes = {"a-1": POISON}
            assert await handling.failed(*batch) == expected

    run(main)


def test_behind_a_record_that_cannot_be_read_nothing_of_a_fifo_batch_is_sent() -> None:
    async def main() -> None:
        handling = Handling()
        broken = {**fifo("a-2", "a"), "md5OfBody": "0" * 32}
        failed = await handling.failed(fifo("a-1", "a"), broken, fifo("a-3", "a"), fifo("b-1", "b"))
        assert failed == ["a-2", "a-3", "b-1"]
        assert handling.handled == ["a-1"]
        assert await handling.failed(record("m-1"), {**record("m-2"), "body": None}) == ["m-2"]

    run(main)


def test_what_is_not_finished_before_the_deadline_is_cancelled_and_reported_in_time() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"m-1": 500.0, "m-2": 20.0}
        failed = await handling.failed(*(record(f"m-{n}") for n in range(1, 4)), within=30.0)
        assert failed == ["m-1"]
        assert handling.cancelled == ["m-1"]
        assert now() <= 30.0 - LAST_STEPS + 1.0
        assert handling.changes == {}

    run(main)


def test_with_no_time_left_everything_is_reported() -> None:
    async def main() -> None:
        handling = Handling()
        assert await handling.failed(record("m-1"), record("m-2"), within=0.5) == ["m-1", "m-2"]

    run(main)


def test_an_invocation_that_is_cancelled_leaves_no_task_behind() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"m-1": 500.0}
        invoking = asyncio.ensure_future(handling.failed(record("m-1"), within=400.0))
        await asyncio.sleep(1.0)
        invoking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await invoking
        await asyncio.sleep(0)
        assert handling.cancelled == ["m-1"]

    run(main)


def test_a_handler_that_raises_fails_its_message_only(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"m-1": ZeroDivisionError("a bug")}
        assert await handling.failed(record("m-1"), record("m-2")) == ["m-1"]

    run(main)
    assert "handling message m-1 failed" in caplog.text


def test_a_batch_in_which_nothing_can_be_settled_fails_as_a_whole() -> None:
    async def main() -> None:
        handling = Handling()
        handling.unavailable = "connection refused"
        handling.outcomes = {"m-1": Retry("down"), "m-2": Retry("down")}
        with pytest.raises(InvocationFailed, match=r"^unavailable: connection refused$"):
            await handling.failed(record("m-1"), record("m-2"))
        assert handling.changes == {"m-1": 2.0, "m-2": 2.0}
        # What was settled must be deleted, so there is a response.
        assert await handling.failed(record("m-1"), record("m-3")) == ["m-1"]

    run(main)


@pytest.mark.parametrize(
    ("receives", "seconds"),
    [(0, 2.0), (1, 2.0), (2, 4.0), (3, 8.0), (9, 512.0), (10, 1_024.0), (11, VISIBILITY)],
)
def test_each_receive_doubles_the_time_until_the_next_one(receives: int, seconds: float) -> None:
    assert hide_for(receives, VISIBILITY, lambda low, _: low) == seconds
    assert hide_for(10**9, VISIBILITY, lambda _, high: high) == VISIBILITY


def test_a_message_that_waits_for_the_queues_own_timeout_costs_no_request() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"m-1": Retry("later"), "m-2": Retry("later")}
        await handling.failed(record("m-1", receives=4), record("m-2", receives=40))
        assert handling.changes == {"m-1": 16.0}

    run(main)


def test_a_requested_wait_counts_and_the_retention_limits_it() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"m-1": Retry("later", after=77.0)}
        await handling.failed(record("m-1", receives=40))
        assert handling.changes == {"m-1": 77.0}
        handling.longest_hide = 5.0
        await handling.failed(record("m-1", receives=40))
        assert handling.changes == {"m-1": 5.0}

    run(main)


def test_the_messages_of_a_group_come_back_together() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"a-2": Retry("later")}
        receives = {"a-1": 1, "a-2": 3, "a-3": 1, "b-1": 1}
        await handling.failed(*(fifo(name, name[0], count) for name, count in receives.items()))
        assert handling.changes == {"a-2": 8.0, "a-3": 8.0}

    run(main)


def refuse(_changes: Changes) -> Sequence[Failed | None]:
    raise AwsError("AccessDenied", "denied", "the role may not change the visibility")


def partly(changes: Changes) -> Sequence[Failed | None]:
    return [Failed("InternalError", "SQS failed"), *[None] * (len(changes) - 1)]


@pytest.mark.parametrize("hide", [refuse, partly])
def test_if_the_visibility_cannot_be_changed_the_answer_is_the_same_and_one_line_says_so(
    hide: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        handling = Handling()
        handling.hide = hide  # type: ignore[assignment] # one of the two above
        handling.outcomes = {"m-1": Retry("later")}
        for _ in range(3):
            assert await handling.failed(record("m-1"), record("m-2")) == ["m-1"]

    with caplog.at_level(logging.WARNING):
        run(main)
    assert caplog.text.count("come back after the queue's visibility timeout only") == 1


def test_a_message_twice_in_one_batch_is_kept_if_one_copy_fails() -> None:
    async def main() -> None:
        handling = Handling()
        handling.outcomes = {"m-1": [Delivered(), Retry("later")]}
        assert await handling.failed(record("m-1"), record("m-1")) == ["m-1"]

    run(main)
