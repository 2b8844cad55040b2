"""The publisher and a queue that answers as scripted; no time passes."""

from collections.abc import Callable, Sequence

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
NOW_NOT = Failed("InternalError", "not now")
NEVER = Failed("InvalidMessageContents", "never", sender_fault=True)


class ScriptedQueue:
    """Answers each call with the next of the script, and takes everything once it is over."""

    def __init__(self, *script: AwsError | Callable[[str], Failed | None]) -> None:
        self.script = list(script)
        self.taken: list[str] = []
        self.calls = 0

    async def send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        self.calls += 1
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, AwsError):
            raise answer
        results = [
            (answer(entry.body) if answer else None) or Sent(entry.body) for entry in entries
        ]
        self.taken += [result.message_id for result in results if isinstance(result, Sent)]
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


async def test_pauses_grow_to_a_limit_and_are_spread_by_chance() -> None:
    pauses = Pauses()
    queue = ScriptedQueue(*[THROTTLED] * (ATTEMPTS - 1))
    await Publisher(queue, sleep=pauses, chance=lambda: 0.5).publish(messages(1))
    assert pauses.slept == [0.2, 0.4, 0.8, 1.5, 1.5]


async def test_a_refused_connection_is_tried_again_until_it_stops_everything() -> None:
    queue = ScriptedQueue(*[REFUSED] * ATTEMPTS)
    sending = publisher(queue)
    results = await sending.publish(messages(3))
    assert queue.calls == ATTEMPTS
    assert sending.stopped is REFUSED
    assert sending.possible_duplicates == 0
    assert results == [Failed(REFUSED.code, REFUSED.sentence)] * 3


async def test_after_a_stop_nothing_is_sent() -> None:
    queue = ScriptedQueue(DENIED)
    sending = publisher(queue)
    await sending.publish(messages(1))
    await sending.publish(messages(5))
    assert queue.calls == 1
    assert sending.stopped is DENIED


async def test_a_message_whose_answer_is_lost_again_and_again_counts_once() -> None:
    sending = publisher(ScriptedQueue(*[LOST] * ATTEMPTS))
    await sending.publish(messages(4))
    assert sending.possible_duplicates == 4


async def test_a_lost_answer_counts_as_doubtful_but_not_on_a_fifo_queue() -> None:
    plain, ordered = publisher(ScriptedQueue(LOST)), publisher(ScriptedQueue(LOST), ordered=True)
    await plain.publish(messages(4))
    await ordered.publish(messages(4))
    assert (plain.possible_duplicates, ordered.possible_duplicates) == (4, 0)


async def test_only_what_was_refused_is_sent_again() -> None:
    queue = ScriptedQueue(only("2", NOW_NOT))
    results = await publisher(queue).publish(messages(5))
    assert results == [Sent(str(i)) for i in range(5)]
    assert sorted(queue.taken) == ["0", "1", "2", "3", "4"]


async def test_what_is_the_senders_fault_is_not_sent_again() -> None:
    queue = ScriptedQueue(only("2", NEVER))
    results = await publisher(queue).publish(messages(5))
    assert results[2] is NEVER
    assert queue.calls == 1


async def test_a_batch_that_is_refused_whole_is_taken_apart() -> None:
    queue = ScriptedQueue(ODD, lambda _: None, ODD)
    results = await publisher(queue).publish(messages(3))
    assert [type(result) for result in results] == [Sent, Failed, Sent]


async def test_an_ordered_sending_stops_at_the_first_message_that_fails_for_good() -> None:
    queue = ScriptedQueue(lambda _: None, only("13", NEVER))
    sending = publisher(queue, ordered=True)
    results = await sending.publish(messages(40))
    assert queue.calls == 2
    assert sending.stopped is not None
    assert [type(result) for result in results[20:]] == [Failed] * 20


@given(
    script=st.lists(
        st.sampled_from([REFUSED, LOST, THROTTLED, ODD])
        | st.integers(0, 24).map(lambda i: only(str(i), NOW_NOT)),
        max_size=12,
    ),
    ordered=st.booleans(),
)
async def test_what_is_called_sent_was_taken_exactly_once_and_the_rest_never(
    script: list[AwsError | Callable[[str], Failed | None]], *, ordered: bool
) -> None:
    queue = ScriptedQueue(*script)
    results = await publisher(queue, ordered=ordered).publish(messages(25))
    sent = [result.message_id for result in results if isinstance(result, Sent)]
    assert len(results) == 25
    assert sorted(sent) == sorted(queue.taken)
    assert all(isinstance(r, Failed) or r.message_id == str(i) for i, r in enumerate(results))
