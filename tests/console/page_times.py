"""What each view of the console costs with many dead letters in its snapshot and many past runs.

python -m tests.console.page_times [--messages 100000] [--queued 5000] [--runs 1000]

For each view: the processor seconds of the console's process from a request to the end of its
response, the seconds on the wall, and the load of the machine. A snapshot, a plan or a run that is
under way at the same time is included; those views say so. So many of the messages are in the queue
as well: a run plans all of them, and finds these.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote_plus

import httpx

from relay.console.access import FORM_TOKEN
from relay.console.snapshots import PREFIX
from tests.console.large_snapshot import KILLED, fill, write_runs
from tests.console.running import (
    SAME_ORIGIN,
    console_process,
    form_token,
    local_queues,
    ticking,
    working,
)
from tests.console.test_actions import hidden_fields, planning, running
from tests.dlq.incident import DEAD

WAITING = ", waiting"
"""The end of the name of a view that reloads itself until something is done."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one view, in seconds."""

    view: str
    cpu: float
    wall: float
    load: float
    status: int

    def __str__(self) -> str:
        return f"{self.view:48} {self.cpu:7.3f} {self.wall:7.3f} {self.load:6.1f}  {self.status}"


@dataclass(slots=True)
class Meter:
    """Measures what the console with this pid spends on requests."""

    browser: httpx.AsyncClient
    pid: int
    report: Callable[[Cost], None]
    costs: list[Cost] = field(default_factory=list)

    async def get(self, view: str, path: str, **parameters: str) -> httpx.Response:
        return await self._measured(
            view, self.browser.build_request("GET", path, params=parameters or None)
        )

    async def post(self, view: str, path: str, **fields: str) -> httpx.Response:
        request = self.browser.build_request("POST", path, data=fields, headers=SAME_ORIGIN)
        return await self._measured(view, request)

    async def until(self, view: str, path: str, waits: Callable[[str], bool]) -> str:
        """The page once it no longer waits; the most that one of its waiting forms cost counts."""
        first = len(self.costs)
        while waits(text := (await self.get(f"{view}{WAITING}", path)).text):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.5)
        done = self.costs[-1]
        waiting = self.costs[first:-1]
        del self.costs[first:]
        if waiting:
            self.costs.append(max(waiting, key=lambda cost: cost.wall))
            self.report(self.costs[-1])
        self.costs.append(Cost(view, done.cpu, done.wall, done.load, done.status))
        self.report(self.costs[-1])
        return text

    async def _measured(self, view: str, request: httpx.Request) -> httpx.Response:
        cpu, began = cpu_of(self.pid), time.perf_counter()
        response = await self.browser.send(request)
        wall = time.perf_counter() - began
        spent = cpu_of(self.pid) - cpu
        cost = Cost(view, spent, wall, os.getloadavg()[0], response.status_code)
        self.costs.append(cost)
        if not view.endswith(WAITING):
            self.report(cost)
        return response


def cpu_of(pid: int) -> float:
    """The processor seconds of a process so far, by the scheduler's own count."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Walk:
    """An operator who looks at everything, and redrives all of it."""

    def __init__(self, meter: Meter, messages: int) -> None:
        self._meter = meter
        self._messages = messages
        self._get, self._until = meter.get, meter.until

    async def go(self) -> None:
        await self._dead_letters()
        await self._searches()
        await self._forms()
        dropped = await self._run("drop", name="shop/event.0", code="code_0", source="s-0")
        await self._get("restore", "/restore", run=dropped)
        await self._plan("restore", "/restore", run=dropped)
        await self._others()
        everything = await self._run("redrive")
        await self._get("run, finished", "/run", name=everything)
        await self._get("history, after it", "/history")
        page = "/dead-letters"
        await self._get("dead letters, older than a run", page)
        token = form_token((await self._meter.browser.get(page)).text)
        await self._meter.post("snapshot, button", f"{page}/snapshot", **{FORM_TOKEN: token})
        await self._until("dead letters while a snapshot is taken", page, working)

    async def _dead_letters(self) -> None:
        page = "/dead-letters"
        await self._get("first page of a new console", page)
        await self._until("dead letters while a snapshot is read", page, working)
        for by in ("reason", "source", "hour", "shape"):
            await self._get(f"dead letters by {by}", page, by=by)
        await self._get("dead letters of a group by shape", page, by="shape", name="shop/event.0")
        last = -(-self._messages // 50)
        for number in (1, last // 2, last):
            await self._get(f"list, page {number}", f"{page}/list", page=str(number))
        await self._get("list of a group", f"{page}/list", name="shop/event.0", code="code_0")
        group = {"name": "shop/event.0", "page": "9999"}
        await self._get("list of a group, last page", f"{page}/list", **group)

    async def _searches(self) -> None:
        middle = f"event-{self._messages // 2}"
        texts = {"an id": middle, "a name": "shop/event.7", "content": f"customer-{middle}"}
        for what, text in (*texts.items(), ("nothing", "nothing like it"), ("a letter", "e")):
            for how in ("new", "again"):
                await self._get(f"search for {what}, {how}", "/dead-letters/list", q=text)
        await self._get("groups of a search", "/dead-letters", q="shop/event.7")
        for what, ident in (("by id", middle), ("unknown", "nobody")):
            await self._get(f"dead letter, {what}", "/dead-letter", id=ident)
            await self._get(f"event, {what}", "/event", id=ident)
        await self._get("event, a short id", "/event", id="e")

    async def _forms(self) -> None:
        hours = (await self._meter.browser.get("/dead-letters?by=hour")).text
        hour = unquote_plus(re.findall(r'href="/redrive\?hour=([^"&]+)"', hours)[0])
        for what, choice in {**CHOICES, "an hour": {"hour": hour}}.items():
            await self._get(f"redrive of {what}, form", "/redrive", **choice)
            await self._plan(f"redrive of {what}", "/redrive", **choice)
        await self._get("drop of a group, form", "/drop", **CHOICES["a group"])
        edit = {"edit": "{name: name, id: id, data: data}"}
        await self._plan("redrive with an edit", "/redrive", **CHOICES["a group"], **edit)

    async def _plan(self, what: str, path: str, **fields: str) -> str:
        """Make a plan; the last page of it."""
        chosen = {name: value for name, value in fields.items() if name != "edit"}
        page = await self._meter.browser.get(path, params=chosen)
        form = {**hidden_fields(page.text), **fields, "canary": ""}
        sent = await self._meter.post(f"{what}, show the plan", path, **form)
        address = sent.headers.get("location")
        return await self._until(f"{what}, plan", address, planning) if address else sent.text

    async def _run(self, command: str, **choice: str) -> str:
        """Plan, start and watch a run; its name."""
        page = await self._plan(f"{command} for the run", f"/{command}", **choice)
        form = {**hidden_fields(page), "confirm": DEAD}
        sent = await self._meter.post(f"{command}, start", "/plan/start", **form)
        assert sent.status_code == 303, page
        address = sent.headers["location"]
        await self._until(f"run of a {command}", address, running)
        return address.rpartition("=")[2]

    async def _others(self) -> None:
        await self._get("now", "/")
        await self._get("history", "/history")
        token = form_token((await self._meter.browser.get("/doctor")).text)
        await self._meter.post("doctor, run the checks", "/doctor", **{FORM_TOKEN: token})
        await self._get("run, killed, of all", "/run", name=KILLED)


CHOICES = {
    "all": {},
    "a group": {"name": "shop/event.0", "code": "code_0"},
    "a search": {"q": "customer-event-1"},
    "one": {"id": "event-1"},
}


async def measure(
    messages: int, queued: int, runs: int, directory: Path, report: Callable[[Cost], None]
) -> list[Cost]:
    """What each view costs. `report` is called with each response as well."""
    async with local_queues() as queues, ticking(queues), AsyncExitStack() as stack:
        await fill(queues, messages, queued, directory / f"{PREFIX}{messages}.jsonl.gz")
        arn = queues.sqs.queues[DEAD].arn
        await asyncio.to_thread(write_runs, directory, runs, messages, arn)
        process, console = await stack.enter_async_context(console_process(queues, directory))
        browser = await console.browser(stack)
        browser.timeout = httpx.Timeout(300.0)
        meter = Meter(browser, process.pid, report)
        await Walk(meter, messages).go()
        return meter.costs


def main() -> None:
    """Print each response, and then a table of all views, the most expensive first."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, number in (("messages", 100_000), ("queued", 5_000), ("runs", 1_000)):
        parser.add_argument(f"--{name}", type=int, default=number)
    given = parser.parse_args()
    say = partial(print, flush=True)
    with tempfile.TemporaryDirectory(prefix="relay-") as directory:
        numbers = (given.messages, given.queued, given.runs)
        costs = asyncio.run(measure(*numbers, Path(directory), say))
    say(f"\n{'view':48} {'cpu s':>7} {'wall s':>7} {'load':>6}  status")
    say(*sorted(costs, key=lambda cost: -cost.cpu), sep="\n")


if __name__ == "__main__":
    main()
