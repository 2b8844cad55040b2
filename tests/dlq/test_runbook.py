"""docs/runbook.md: walks its incident by the commands that it shows, and checks its codes."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from relay.local.inngest import InngestServer
from relay.local.processes import RelayProcess
from relay.model.origin import ATTRIBUTE
from tests.dlq import incident
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues
from tests.sources.poller.rig import until

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "runbook.md").read_text()
BLOCK = re.compile(
    r"<!-- test: incident(?: ([\w.]+))?(?:, exit code (\d))? -->\n```\w+\n(.*?)```", re.DOTALL
)


@asynccontextmanager
async def polling(
    queues: LocalQueues, environ: dict[str, str], inngest: InngestServer, log: Path
) -> AsyncIterator[RelayProcess]:
    """The shop's relay, which delivers what the walk redrives."""
    settings = {n: v for n, v in environ.items() if n.startswith(("AWS_", "RELAY_"))}
    settings |= {"RELAY_INNGEST_URL": inngest.url, "RELAY_QUEUE_URL": incident.MAIN}
    async with RelayProcess("poll", settings=settings, output=log) as relay:
        yield relay
        ending = asyncio.create_task(relay.terminate())
        while not ending.done():
            queues.clock.advance(1.0)  # an open long poll ends on the queue's own clock
            await asyncio.wait({ending}, timeout=0.02)


class Walk:
    """The runbook's incident: each block in turn, each command as it stands there."""

    def __init__(self, relay: Relay, environ: dict[str, str], directory: Path) -> None:
        self._relay = relay
        self._environ = environ
        self._directory = directory
        self.outputs: dict[str, str] = {}

    async def take(self, url: str) -> None:
        for file, code, text in BLOCK.findall(TEXT):
            if file:
                (self._directory / file).write_text(text)
                continue
            for line in text.strip().splitlines():
                await self._run(line, int(code or 0), url)

    async def _run(self, line: str, code: int, url: str) -> None:
        words = shlex.split(line)
        if words[0] == "export":
            self._environ |= dict([words[1].split("=")])
            return
        quick = () if words[2] == "restore" else QUICK
        ended = await self._relay(*words[1:], *quick, RELAY_INNGEST_URL=url)
        assert ended.code == code, (line, ended)
        self.outputs[line] = ended.out


async def test_the_incident_is_solved_by_the_commands_it_shows(
    relay: Relay, queues: LocalQueues, environ: dict[str, str], tmp_path: Path
) -> None:
    await incident.make_incident(queues)
    environ |= {"RELAY_INNGEST_EVENT_KEY": "local", "RELAY_CONFIRM": "off"}
    sent = [body for kind in incident.KINDS if not kind.fails for body in bodies(kind)]
    repaired = [body for kind in (incident.ORDERS, incident.CARTS) for body in bodies(kind)]
    walk, log = Walk(relay, environ, tmp_path), tmp_path / "relay.log"
    async with InngestServer(0) as inngest, polling(queues, environ, inngest, log):
        await walk.take(inngest.url)
        await until(lambda: not queues.stored(incident.MAIN))
        delivered = {event.id for event in inngest.events}
    assert delivered == ids(sent) | ids(repaired)
    assert len(delivered) == 230 + 55
    lines = log.read_text().splitlines()
    assert [line for line in lines if "halted" in line or "rejected" in line] == []
    assert queues.stored(incident.DEAD) == ()
    *_, last = walk.outputs.values()
    assert last.startswith("0 messages")


def bodies(kind: incident.Kind) -> list[str]:
    return [incident.body_of(kind, index) for index in range(kind.count)]


def ids(found: list[str]) -> set[str]:
    """The ids of the events that are still pending in these bodies."""
    values = [msgspec.json.decode(body) for body in found]
    return {(one[incident.PENDING] if isinstance(one, list) else one)["id"] for one in values}


async def test_what_the_plan_says_is_what_the_redrive_does(
    relay: Relay, queues: LocalQueues, environ: dict[str, str]
) -> None:
    await incident.make_incident(queues)
    environ |= {"RELAY_QUEUE_URL": incident.MAIN}
    await relay("dlq", "pull", "night.jsonl", *QUICK)
    words = ("dlq", "redrive", "--snapshot", "night.jsonl", "--json", *QUICK)
    plan = msgspec.json.decode((await relay(*words)).out)
    before = {stored.message_id: stored.body for stored in queues.stored(incident.DEAD)}
    end = msgspec.json.decode((await relay(*words, "--yes")).out)
    assert (plan["examined"], plan["selected"], plan["duplicates"]) == (325, 230, 5)
    assert plan["skipped"] == end["skipped"] == {"would_fail": incident.FAILING}
    assert (end["received"], end["done"], end["duplicates"], end["deleted"]) == (325, 230, 5, 235)
    left = {stored.message_id: stored.body for stored in queues.stored(incident.DEAD)}
    assert len(left) == incident.FAILING
    assert left.items() <= before.items(), "what is left is untouched"
    assert all(ATTRIBUTE in stored.attributes for stored in queues.stored(incident.MAIN))


async def test_the_outputs_that_it_shows_are_those_of_the_commands(
    relay: Relay, queues: LocalQueues, environ: dict[str, str]
) -> None:
    await incident.make_incident(queues)
    environ |= {"RELAY_QUEUE_URL": incident.MAIN}
    await relay("dlq", "pull", "night.jsonl", *QUICK)
    shown = TEXT.split("**4. What would a redrive do?**")[1].split("```\n")[2].splitlines()
    planned = await relay("dlq", "redrive", "--snapshot", "night.jsonl", *QUICK)
    assert planned.out.splitlines()[: len(shown)] == shown
    counted = await relay("dlq", "stats", "night.jsonl")
    example = TEXT.split("**2. What is in it")[1].split("```\n")[2].splitlines()
    columns = [line.split("  ")[0] for line in example if line.startswith(("shop/", "(no event)"))]
    rows = [line for line in counted.out.splitlines()[4:14] if line.startswith(("shop/", "(no"))]
    assert [row.split("  ")[0] for row in rows] == columns


@pytest.mark.parametrize("code", sorted(set(re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE))))
def test_its_codes_of_skipped_dead_letters_are_in_the_code(code: str) -> None:
    sources = (Path(__file__).parents[2] / "relay" / "dlq").glob("*.py")
    assert any(f'"{code}"' in source.read_text() for source in sources)
