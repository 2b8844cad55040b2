"""The batch sender: when a request is sent, what is tried again, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from relay.aws.errors import AwsError
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.publishing.sending import AT_ONCE, REQUESTS, BatchSender
from tests.forwarding.virtual_time import now, run

Answer = Callable[[int, Sequence[Outgoing]], Sequence[Sent | Failed]]


class Queue:
    """Takes `seconds` for each request; `answer` makes the results, by the request's number."""

    def __init__(self, answer: Answer | None = None, seconds: float = 0.01) -> None:
        self._answer = answer or (lambda _, batch: [Sent(one.body) for one in batch])
        self._seconds = seconds
        self.requests: list[list[str]] = []
        self.running = self.most_running = 0

    async def send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        self.requests.append([one.body for one in entries])
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self._seconds)
            return list(self._answer(len(self.requests), entries))
        finally:
            self.running -= 1


def messages(count: int, size: int = 1) -> list[Outgoing]:
    return [Outgoing(body=f"{n:0{size}}") for n in range(count)]


def sender(queue: Queue, *, ordered: bool = False, timeout: float = 5.0) -> BatchSender:
    loop = asyncio.get_running_loop()
    return BatchSender(queue, ordered=ordered, timeout=timeout, clock=loop.time, chance=lambda: 1.0)


def failing(code: str, kind: str = "connection") -> Answer:
    def answer(_number: int, _batch: Sequence[Outgoing]) -> Sequence[Sent | Failed]:
        raise AwsError(code, kind, f"{code} it is")  # type: ignore[arg-type] # of a test

    return answer


def test_a_lone_message_is_sent_at_once() -> None:
    async def main() -> None:
        assert await sender(Queue()).send(messages(1)) == [Sent("0")]
        assert now() == 0.01

    run(main)


def test_few_requests_are_partly_full_and_full_ones_do_not_wait() -> None:
    async def main() -> None:
        queue = Queue(seconds=1.0)
        batch = sender(queue)
        first = []
        for one in messages(AT_ONCE):
            first.append(asyncio.create_task(batch.send([one])))
            await asyncio.sleep(0.01)
        await asyncio.gather(*first, batch.send(messages(25)))
        sizes = [len(request) for request in queue.requests]
        assert sum(sizes) == AT_ONCE + 25
        assert sizes.count(10) == 2
        assert now() < 3.0

    run(main)


def test_full_requests_are_sent_concurrently_up_to_a_limit() -> None:
    async def main() -> None:
        queue = Queue(seconds=1.0)
        results = await sender(queue).send(messages(1_000))
        assert results == [Sent(str(n)) for n in range(1_000)]
        assert queue.most_running == REQUESTS

    run(main)


def test_a_fifo_queue_gets_one_request_at_a_time_in_order() -> None:
    async def main() -> None:
        queue = Queue()
        await sender(queue, ordered=True).send(messages(35))
        assert queue.most_running == 1
        assert [body for request in queue.requests for body in request] == [
            str(n) for n in range(35)
        ]

    run(main)


def test_a_request_holds_at_most_what_sqs_takes() -> None:
    async def main() -> None:
        queue = Queue()
        await sender(queue).send(messages(9, size=300_000))
        assert [len(request) for request in queue.requests] == [3, 3, 3]

    run(main)


def test_only_the_entries_that_failed_are_tried_again() -> None:
    async def main() -> None:
        def answer(number: int, batch: Sequence[Outgoing]) -> Sequence[Sent | Failed]:
            failed = Failed("InternalError", "it failed")
            return [failed if number == 1 and one.body == "2" else Sent("ok") for one in batch]

        queue = Queue(answer)
        assert await sender(queue).send(messages(4)) == [Sent("ok")] * 4
        assert queue.requests == [["0", "1", "2", "3"], ["2"]]

    run(main)


def test_an_entry_that_sqs_will_never_take_is_not_tried_again() -> None:
    async def main() -> None:
        failed = Failed("InvalidMessageContents", "no", sender_fault=True)
        queue = Queue(lambda _, batch: [failed for _ in batch])
        batch = sender(queue)
        assert await batch.send(messages(1)) == [failed]
        assert len(queue.requests) == 1

    run(main)


def test_a_failure_that_may_end_is_tried_until_the_deadline_with_growing_pauses() -> None:
    async def main() -> None:
        queue = Queue(failing("ServiceUnavailable"))
        batch = sender(queue, timeout=5.0)
        assert (
            await batch.send(messages(2)) == [Failed("ServiceUnavailable", batch.problem or "")] * 2
        )
        assert 3.0 < now() <= 5.0
        assert 6 <= len(queue.requests) <= 10

    run(main)


def test_a_missing_permission_is_not_tried_again_within_the_call() -> None:
    async def main() -> None:
        queue = Queue(failing("AccessDenied", "denied"))
        (failed,) = await sender(queue).send(messages(1))
        assert isinstance(failed, Failed)
        assert (failed.code, failed.permanent) == ("AccessDenied", False)
        assert len(queue.requests) == 1

    run(main)


def test_a_request_without_an_answer_ends_at_the_deadline() -> None:
    async def main() -> None:
        queue = Queue(seconds=600.0)
        (failed,) = await sender(queue, timeout=5.0).send(messages(1))
        assert isinstance(failed, Failed)
        assert failed.code == "NoAnswer"
        assert now() == 5.0

    run(main)


def test_a_last_try_that_is_cut_short_does_not_hide_why_the_others_failed() -> None:
    async def main() -> None:
        queue = Queue(failing("RequestThrottled", "throttled"), seconds=0.7)
        (failed,) = await sender(queue, timeout=2.0).send(messages(1))
        assert isinstance(failed, Failed)
        assert failed.code == "RequestThrottled"
        assert now() == 2.0

    run(main)


def test_the_last_problem_is_known_until_a_success() -> None:
    async def main() -> None:
        queue = Queue(failing("AccessDenied", "denied"))
        batch = sender(queue)
        await batch.send(messages(1))
        assert batch.problem == "AccessDenied it is"
        queue._answer = lambda _, sent: [Sent("ok") for _ in sent]
        await batch.send(messages(1))
        assert batch.problem is None

    run(main)


def test_a_cancelled_call_withdraws_what_is_not_being_sent() -> None:
    async def main() -> None:
        queue = Queue(seconds=1.0)
        batch = sender(queue, ordered=True)
        call = asyncio.create_task(batch.send(messages(25)))
        await asyncio.sleep(0.5)
        call.cancel()
        await asyncio.wait({call})
        await batch.drain()
        assert len(queue.requests) == 1

    run(main)
