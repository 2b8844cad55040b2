"""Routing: the first matching route decides, and an outage delays only its own events."""

from __future__ import annotations

import asyncio

import pytest

from relay.forwarding import ForwarderState
from relay.forwarding.routing import Router, RouteTable, parse_routes
from relay.forwarding.undelivered import Stuck
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry


def event(name: str, event_id: str = "e") -> Event:
    return Event(id=event_id, name=name)


class Branch:
    """A forwarder whose circuit closes when the test says so."""

    def __init__(self, name: str, *, is_open: bool = True) -> None:
        self.name = name
        self.opened = asyncio.Event()
        if is_open:
            self.opened.set()
        self.stopped: float | None = None
        self.found: Stuck | None = None

    def stuck(self, after: float) -> Stuck | None:
        return self.found if after < 200 else None

    @property
    def state(self) -> ForwarderState:
        closed = "closed" if self.opened.is_set() else "open"
        return ForwarderState(
            circuit=closed,
            reason="" if closed == "closed" else "down",
            setting=None,
            seconds=1.0,
            in_flight=1,
            last_error=None,
        )

    @property
    def accepting(self) -> bool:
        return self.opened.is_set()

    @property
    def down(self) -> bool:
        return not self.opened.is_set()

    async def wait_accepting(self) -> None:
        await self.opened.wait()

    async def submit(self, event: Event) -> Outcome:
        await self.opened.wait()
        return Delivered(self.name)

    def may_have_run(self, event_id: str) -> bool:
        return event_id == self.name

    async def stop(self, deadline: float) -> None:
        self.stopped = deadline


def router_of(*branches: Branch, held: int = 2) -> Router:
    routes = parse_routes(["order/*=a", "user/?=b", "*/late=b"])
    by_name = {branch.name: branch for branch in branches}
    return Router(RouteTable(routes), by_name, held=held, release=900.0)


@pytest.mark.parametrize(
    ("name", "destination"),
    [("order/placed", "a"), ("order/late", "a"), ("user/x", "b"), ("x/late", "b")],
)
async def test_the_first_matching_route_decides(name: str, destination: str) -> None:
    outcome = await router_of(Branch("a"), Branch("b")).submit(event(name))
    assert outcome == Delivered(destination)


@pytest.mark.parametrize("name", ["Order/placed", "user/xy", "other", "prefix-order/x"])
async def test_an_event_that_matches_no_route_is_rejected(name: str) -> None:
    outcome = await router_of(Branch("a"), Branch("b")).submit(event(name))
    assert isinstance(outcome, Reject)
    assert outcome.code == "no_route"


@pytest.mark.parametrize("text", ["order/*", "=a", "order/*=", ""])
def test_an_invalid_route_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a route"):
        parse_routes([text])


async def test_an_outage_holds_a_limited_number_of_its_own_events_and_no_others() -> None:
    down = Branch("a", is_open=False)
    router = router_of(down, Branch("b"))
    held = [asyncio.ensure_future(router.submit(event("order/x", str(i)))) for i in range(2)]
    await asyncio.sleep(0)
    assert await router.submit(event("order/x", "past")) == Retry(
        "a is unavailable and holds enough events", 900.0
    )
    assert await router.submit(event("user/x")) == Delivered("b")
    assert router.accepting
    assert router.state.circuit == "open"
    assert router.state.reason == "a: down"
    assert router.state.in_flight == 2
    down.opened.set()
    assert await asyncio.gather(*held) == [Delivered("a")] * 2
    assert await router.submit(event("order/x", "later")) == Delivered("a")


async def test_with_all_destinations_down_it_waits_for_the_first_to_recover() -> None:
    a, b = Branch("a", is_open=False), Branch("b", is_open=False)
    router = router_of(a, b)
    assert not router.accepting
    waiting = asyncio.ensure_future(router.wait_accepting())
    await asyncio.sleep(0)
    b.opened.set()
    await waiting
    assert router.may_have_run("b")
    assert not router.may_have_run("c")
    await router.stop(3.0)
    assert (a.stopped, b.stopped) == (3.0, 3.0)


def test_a_stuck_destination_is_named_while_the_circuit_of_another_is_open() -> None:
    a, b = Branch("a", is_open=False), Branch("b")
    router = router_of(a, b)
    assert router.stuck(180.0) is None
    b.found = Stuck("an event not delivered", "RELAY_B")
    assert router.stuck(180.0) == Stuck("b: an event not delivered", "RELAY_B")
    assert router.stuck(300.0) is None
