"""docs/runbook.md: runs the commands of its incident, and checks its codes."""

import re
import shlex
import time
from pathlib import Path

import pytest

from relay.local.inngest import InngestServer
from relay.model.origin import ATTRIBUTE
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, origin_attribute

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "runbook.md").read_text()
BLOCK = re.compile(r"<!-- test: incident ?(\S*) -->\n```\w+\n(.*?)```", re.DOTALL)


async def fill(queues: LocalQueues) -> None:
    """The night's dead letters."""
    queues.make("shop-events-dlq")
    queues.make("shop-events", "shop-events-dlq")
    for i in range(40):
        body = f'{{"name":"shop/order.paid","id":"order-88{i:02}-paid","ts":{1777852800 + i}}}'
        why = origin_attribute(f"o-{i}", code="ts_in_seconds", source="shop-events")
        await queues.send("shop-events-dlq", body, attributes=why)
    for i in range(12):
        body = f'{{"name":"shop/parcel.packed","id":"parcel-{i + 10}-packed"}}'
        why = origin_attribute(f"p-{i}", code="fails_alone", source="shop-events")
        await queues.send("shop-events-dlq", body, attributes=why)
    for i in range(3):
        body = '{"Type":"SubscriptionConfirmation","Message":"x","TopicArn":"arn"}'
        why = origin_attribute(f"c-{i}", code="sns_confirmation", source="shop-events")
        await queues.send("shop-events-dlq", body, attributes=why)


async def test_the_incident_is_solved_by_the_commands_it_shows(
    relay: Relay, queues: LocalQueues, environ: dict[str, str], tmp_path: Path
) -> None:
    queues.clock.advance(time.time() - queues.clock.time())  # tonight
    await fill(queues)
    outputs: list[str] = []
    environ |= {"RELAY_INNGEST_EVENT_KEY": "local", "RELAY_CONFIRM": "off"}
    async with InngestServer(0) as inngest:
        for file, text in BLOCK.findall(TEXT):
            if file:
                (tmp_path / file).write_text(text)
                continue
            for line in text.strip().splitlines():
                words = shlex.split(line)
                if words[0] == "export":
                    environ |= dict([words[1].split("=")])
                    continue
                quick = () if words[2] == "restore" else QUICK
                ended = await relay(*words[1:], *quick, RELAY_INNGEST_URL=inngest.url)
                assert ended.code == 0, (line, ended)
                outputs.append(ended.out)
        delivered = {event.id for event in inngest.events}
    assert "55 messages with 12 events in shop-events-dlq" in outputs[1]
    assert "0 messages" in outputs[-1]
    waiting = {re.findall(r'"id":"([^"]+)"', body)[0] for body in queues.bodies("shop-events")}
    assert len(delivered | waiting) == 52
    assert len(delivered) == 6
    orders = [body for body in queues.bodies("shop-events") if "order.paid" in body]
    assert all(re.search(r'"ts":17778528\d\d000', body) for body in orders)
    assert all(ATTRIBUTE in stored.attributes for stored in queues.stored("shop-events"))


@pytest.mark.parametrize("code", sorted(set(re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE))))
def test_its_codes_of_skipped_dead_letters_are_in_the_code(code: str) -> None:
    sources = (Path(__file__).parents[2] / "relay" / "dlq").glob("*.py")
    assert any(f'"{code}"' in source.read_text() for source in sources)
