"""A queue, an Inngest server, and `relay poll` in several processes between them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from relay.local.inngest.records import Function
from relay.local.inngest.server import InngestServer
from relay.local.processes import RelayProcess, free_port
from relay.local.sqs.parameters import SendMessage
from relay.local.sqs.queue import Queue
from relay.local.sqs.server import SqsServer
from relay.local.sqs.validation import accept

PATIENCE = 90.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.05)


class World:
    """The servers. Messages of a FIFO queue belong to five groups in turn."""

    def __init__(
        self, sqs: SqsServer, inngest: InngestServer, directory: Path, *, fifo: bool
    ) -> None:
        self.sqs = sqs
        self.inngest = inngest
        self.directory = directory
        self.fifo = fifo
        self.sent = 0
        self.port = free_port()
        self.log_path = directory / "relay.log"
        sqs.account.create("dead.fifo" if fifo else "dead", fifo_attributes(fifo), {})
        dead = sqs.queues["dead.fifo" if fifo else "dead"]
        policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 100})
        attributes = {"VisibilityTimeout": "4", "RedrivePolicy": policy, **fifo_attributes(fifo)}
        self.name = "main.fifo" if fifo else "main"
        self.url = sqs.account.url_of(sqs.account.create(self.name, attributes, {}))
        self.dead = dead

    @property
    def queue(self) -> Queue:
        return self.sqs.queues[self.name]

    @property
    def ran(self) -> list[str]:
        """The ids of the events that ran, in order."""
        return [run.event_id for run in self.inngest.runs]

    @property
    def ran_once(self) -> bool:
        """Whether every message that was sent ran, and none twice."""
        return Counter(self.ran) == Counter(f"e-{n}" for n in range(self.sent))

    def send(self, count: int) -> None:
        for number in range(self.sent, self.sent + count):
            body = json.dumps({"name": "order/paid", "id": f"e-{number}", "data": {}})
            draft = SendMessage(
                queue_url=self.url,
                message_body=body,
                message_group_id=f"g-{number % 5}" if self.fifo else None,
                message_deduplication_id=f"d-{number}" if self.fifo else None,
            )
            now = self.sqs.account.clock.time()
            self.queue.add(accept(draft, self.queue.attributes, now), None)
        self.sent += count

    def relay(self, **settings: str) -> RelayProcess:
        """A relay of two processes that is not running yet."""
        variables = {
            "AWS_ENDPOINT_URL": self.sqs.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "PYTHONWARNINGS": "error",
            "RELAY_QUEUE_URL": self.url,
            "RELAY_INNGEST_URL": self.inngest.url,
            "RELAY_CONFIRM": "off",
            "RELAY_METRICS": "prometheus",
            "RELAY_PROCESSES": "2",
            "PORT": str(self.port),
        }
        port = self.port if settings.get("PORT") != "" else None
        return RelayProcess("poll", settings=variables | settings, output=self.log_path, port=port)

    def log(self) -> Iterator[dict[str, Any]]:
        """The lines of the log, each of which is whole."""
        return map(json.loads, self.log_path.read_text().splitlines())

    def logged(self, beginning: str) -> int:
        """How many lines of the log begin like this."""
        return sum(line["message"].startswith(beginning) for line in self.log())

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")

    async def ready(self, accept: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first answer of `/ready` that is accepted, with its status."""
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self.get("/ready")
                found: dict[str, Any] = {**answer.json(), "status": answer.status_code}
                if accept(found):
                    return found
                await asyncio.sleep(0.05)

    async def all_ready(self) -> list[int]:
        """The pids of the workers once all of them are ready."""
        found = await self.ready(lambda answer: answer["ready"])
        return [one["pid"] for one in found["processes"]]

    async def replaced(self, pid: int) -> list[int]:
        """The pids of the workers once all of them are ready and this one has been replaced."""
        found = await self.ready(
            lambda answer: (
                answer["ready"] and pid not in [one["pid"] for one in answer["processes"]]
            )
        )
        return [one["pid"] for one in found["processes"]]

    async def metric(self, name: str, value: float) -> None:
        """Return when the metric has the value in the answer of `/metrics`."""
        async with asyncio.timeout(PATIENCE):
            while True:
                text = (await self.get("/metrics")).text
                if [value] == [float(line.rpartition(" ")[2]) for line in samples(text, name)]:
                    return
                await asyncio.sleep(0.05)


def samples(text: str, name: str) -> list[str]:
    """The lines of a metric's samples."""
    return [line for line in text.splitlines() if line.startswith(f"{name}{{")]


def fifo_attributes(fifo: bool) -> dict[str, str]:
    return {"FifoQueue": "true"} if fifo else {}


@asynccontextmanager
async def open_world(directory: Path, *, fifo: bool = False) -> AsyncIterator[World]:
    functions = (Function(name="handle", on="order/paid"),)
    async with SqsServer(region="us-east-1") as sqs, InngestServer(functions=functions) as inngest:
        yield World(sqs, inngest, directory, fifo=fifo)
