"""The publisher, with a scripted queue and without real pauses."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.aws.errors import AwsError
from relay.aws.publisher import ATTEMPTS, Publisher
from relay.aws.sqs_values import Failed, Outgoing, Sent

REFUSED = AwsError("NotConnected", "connection", "refused")
LOST = AwsError("ReadTimeoutError", "connection", "no answer")
THROTTLED = AwsError("RequestThrottled", "throttled", "slow down")
DENIED = AwsError("AccessDenied", "denied", "grant sqs:SendMessage")
ODD = AwsError("InvalidMessageContents", "other", "bad characters")
TRANSIENT = Failed("InternalError", "not now")
PERMANENT = Failed("InvalidMessageContents", "never", sender_fault=True)


class ScriptedQueue:
    """Answers each call with the next item of the script, and accepts everything after its end."""

    def __init__(self, *script: AwsError | Callable[[str], Failed | None]) -> None:
        self.script = list(script)
        self.accepted: list[str] = []
        self.calls = 0

    async def send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        self.calls += 1
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, AwsError):
            raise answer
        results = [
            (answer(entry.body) if answer else None) or Sent(entry.body) for entry in entries
        ]
        self.accepted += [result.message_id for result in results if isinstance(result, Sent)]
        return results


class Pauses:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def publisher(queue: ScriptedQueue, *, ordered: bool = False) -> Publisher:
    return Publisher(queue, ordered=ordered, sleep=Pauses(), chance=lambda: 1.0)


def messages(count: int) -> list[Outgoing]:
    return [Outgoing(body=str(i)) for i in range(count)]


def only(body: str, failed: Failed) -> Callable[[str], Failed | None]:
    return lambda other: failed if other == body else None


async def test_pauses_grow_to_a_limit_with_jitter() -> None:
    pauses = Pauses()
    queue = ScriptedQueue(*[THROTTLED] * (ATTEMPTS - 1))
    await Publisher(queue, sleep=pauses, chance=lambda: 0.5).publish(messages(1))
    assert pauses.slept == [0.2, 0.4, 0.8, 1.5, 1.5]


@pytest.mark.parametrize("code", ["NotConnected", "ProxyFailed", "UnknownName"])
async def test_a_refused_connection_is_retried_and_then_stops_the_publisher(code: str) -> None:
    refused = AwsError(code, "connection", "refused")
    queue = ScriptedQueue(*[refused] * ATTEMPTS)
    sender = publisher(queue)
    results = await sender.publish(messages(3))
    assert queue.calls == ATTEMPTS
    assert sender.stopped is refused
    assert sender.possible_duplicates == 0
    assert results == [Failed(code, refused.sentence)] * 3


async def test_after_a_stop_nothing_is_sent() -> None:
    queue = ScriptedQueue(DENIED)
    sender = publisher(queue)
    await sender.publish(messages(1))
    await sender.publish(messages(5))
    assert queue.calls == 1
    assert sender.stopped is DENIED


async def test_a_message_whose_response_is_lost_repeatedly_counts_once() -> None:
    sender = publisher(ScriptedQueue(*[LOST] * ATTEMPTS))
    await sender.publish(messages(4))
    assert sender.possible_duplicates == 4


async def test_a_lost_response_is_a_possible_duplicate_except_on_a_fifo_queue() -> None:
    plain, ordered = publisher(ScriptedQueue(LOST)), publisher(ScriptedQueue(LOST), ordered=True)
    await plain.publish(messages(4))
    await ordered.publish(messages(4))
    assert (plain.possible_duplicates, ordered.possible_duplicates) == (4, 0)


async def test_only_failed_entries_are_retried() -> None:
    queue = ScriptedQueue(only("2", TRANSIENT))
    results = await publisher(queue).publish(messages(5))
    assert results == [Sent(str(i)) for i in range(5)]
    assert sorted(queue.accepted) == ["0", "1", "2", "3", "4"]


async def test_an_entry_failed_by_the_senders_fault_is_not_retried() -> None:
    queue = ScriptedQueue(only("2", PERMANENT))
    results = await publisher(queue).publish(messages(5))
    assert results[2] is PERMANENT
    assert queue.calls == 1


async def test_a_batch_rejected_as_a_whole_is_split() -> None:
    queue = ScriptedQueue(ODD, lambda _: None, ODD)
    results = await publisher(queue).publish(messages(3))
    assert [type(result) for result in results] == [Sent, Failed, Sent]


async def test_an_ordered_publisher_stops_at_the_first_permanent_failure() -> None:
    queue = ScriptedQueue(lambda _: None, only("13", PERMANENT))
    sender = publisher(queue, ordered=True)
    results = await sender.publish(messages(40))
    assert queue.calls == 2
    assert sender.stopped is not None
    assert [type(result) for result in results[20:]] == [Failed] * 20


@given(
    script=st.lists(
        st.sampled_from([REFUSED, LOST, THROTTLED, ODD])
        | st.integers(0, 24).map(lambda i: only(str(i), TRANSIENT)),
        max_size=12,
    ),
    ordered=st.booleans(),
)
async def test_messages_reported_as_sent_were_accepted_exactly_once_and_others_never(
    script: list[AwsError | Callable[[str], Failed | None]], *, ordered: bool
) -> None:
    queue = ScriptedQueue(*script)
    results = await publisher(queue, ordered=ordered).publish(messages(25))
    sent = [result.message_id for result in results if isinstance(result, Sent)]
    assert len(results) == 25
    assert sorted(sent) == sorted(queue.accepted)
    assert all(isinstance(r, Failed) or r.message_id == str(i) for i, r in enumerate(results))
