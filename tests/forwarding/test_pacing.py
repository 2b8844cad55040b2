"""Pacing: the rate is kept, the limit follows latency and overloads, and no request gets stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.forwarding.adaptive_limit import AdaptiveLimit
from relay.forwarding.pacing import PacedDestination, TokenBucket, parse_rates, rate_of
from relay.model.destination import Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def event(number: int = 0) -> Event:
    return Event(id=str(number), name="a")


class Destination:
    """Answers once `go` is set; `most` is the highest number of concurrent requests."""

    def __init__(self, in_flight: int = 4) -> None:
        self.limits = Limits(max_events=10, in_flight=in_flight)
        self.go = asyncio.Event()
        self.running = 0
        self.most = 0
        self.sent = 0
        self.error: Unavailable | None = None

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.running += 1
        self.sent += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.running -= 1
        return [Delivered()] * len(events)


def test_a_bucket_allows_one_seconds_worth_at_once_and_then_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(10.0, clock=clock)
    assert [bucket.take(1) for _ in range(10)] == [0.0] * 10
    assert bucket.take(1) == pytest.approx(0.1)
    assert bucket.take(5) == pytest.approx(0.6)
    clock.now = 100.0
    assert bucket.take(10) == 0.0
    assert bucket.take(100) == pytest.approx(10.0)


async def test_the_rate_is_kept_over_time() -> None:
    clock = Clock()
    inner = Destination()
    inner.go.set()
    bucket = TokenBucket(5.0, clock=clock)
    paced = PacedDestination(inner, bucket=bucket, clock=clock, sleep=clock.sleep)
    for number in range(50):
        await paced.send([event(number)])
    assert clock.now == pytest.approx((50 - 5) / 5.0)


async def test_a_cancelled_request_returns_its_tokens_and_its_slot() -> None:
    inner = Destination(in_flight=1)
    paced = PacedDestination(inner, limit=AdaptiveLimit(1))
    first, second, third = (asyncio.ensure_future(paced.send([event(i)])) for i in range(3))
    await asyncio.sleep(0)
    second.cancel()
    inner.go.set()
    assert await first == await third == [Delivered()]
    assert second.cancelled()
    assert inner.most == 1


async def test_there_are_never_more_concurrent_requests_than_the_limit() -> None:
    inner = Destination(in_flight=8)
    paced = PacedDestination(inner, limit=AdaptiveLimit(8, first=3))
    sends = [asyncio.ensure_future(paced.send([event(i)])) for i in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert inner.running == 3
    inner.go.set()
    assert await asyncio.gather(*sends) == [[Delivered()]] * 20


async def test_a_proven_failure_fails_waiting_requests_unsent() -> None:
    inner = Destination(in_flight=1)
    inner.error = Unavailable("too many", after=7.0, proven=True)
    paced = PacedDestination(inner, limit=AdaptiveLimit(1))
    sends = [asyncio.ensure_future(paced.send([event(i)])) for i in range(5)]
    await asyncio.sleep(0)
    inner.go.set()
    ends = await asyncio.gather(*sends, return_exceptions=True)
    assert all(isinstance(end, Unavailable) for end in ends)
    assert inner.sent == 1
    assert [end.not_accepted for end in ends if isinstance(end, Unavailable)] == [False] + [
        True
    ] * 4
    inner.error = None
    assert await paced.send([event()]) == [Delivered()]


def rounds(limit: AdaptiveLimit, clock: Clock, count: int, latency: float) -> None:
    for _ in range(count):
        for _ in range(limit.value):
            clock.now += latency / limit.value
            limit.record(latency, limit.value, overloaded=False)


def test_the_limit_grows_while_latency_is_normal_and_it_is_fully_used() -> None:
    clock = Clock()
    limit = AdaptiveLimit(16, clock=clock)
    rounds(limit, clock, 60, 0.1)
    assert limit.value == 16


def test_a_limit_that_is_not_used_up_does_not_grow() -> None:
    clock = Clock()
    limit = AdaptiveLimit(16, clock=clock)
    for _ in range(100):
        clock.now += 0.1
        limit.record(0.1, 1, overloaded=False)
    assert limit.value == 2


def test_the_limit_falls_when_latency_grows_and_halves_at_an_overload() -> None:
    clock = Clock()
    limit = AdaptiveLimit(16, first=16, clock=clock)
    rounds(limit, clock, 10, 0.1)
    rounds(limit, clock, 1, 1.0)
    fallen = limit.value
    assert fallen < 16
    clock.now += 1.0
    limit.record(0.1, 1, overloaded=True)
    assert limit.value <= fallen // 2 + 1
    for _ in range(20):
        clock.now += 1.0
        limit.record(0.1, 1, overloaded=True)
    assert limit.value == 1


def test_a_destination_that_is_always_slow_does_not_count_as_overloaded() -> None:
    clock = Clock()
    limit = AdaptiveLimit(16, clock=clock)
    rounds(limit, clock, 60, 5.0)
    assert limit.value == 16


def test_a_rate_is_for_all_destinations_or_for_named_ones() -> None:
    assert rate_of(parse_rates(["20"]), "argo") == 20.0
    rates = parse_rates(["webhook=0.5", " 300 "])
    assert rate_of(rates, "webhook") == 0.5
    assert rate_of(rates, "argo") == 300.0
    assert rate_of(parse_rates(["webhook=5"]), "argo") is None


@pytest.mark.parametrize("texts", [["0"], ["-1"], ["inf"], ["nan"], ["x"], ["a="], ["1", "2"]])
def test_an_invalid_rate_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"not a rate|could not convert"):
        parse_rates(texts)
