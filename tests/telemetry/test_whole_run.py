"""A whole run: metrics and log agree with the reconciliation, and contain no secret."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay.local.demo.publisher import Publisher, traffic
from relay.local.demo.reconciliation import Published, Reconciliation, reconcile
from relay.local.demo.samples import SampleMessage, fixed_id
from relay.local.environment import Environment, Plan, local_environment
from relay.local.inngest import Function
from relay.telemetry import metrics

PLANTED = "pl4nted-s3cret"
MESSAGES = 250
LIMIT = 60.0

SECRETIVE = (
    SampleMessage(
        kind="secretive",
        body=json.dumps(
            {
                "id": "secretive-1",
                "name": "secretive/event",
                "data": {PLANTED: f"https://u:{PLANTED}@host/e/{PLANTED}?sig={PLANTED}"},
                "user": {"token": PLANTED},
            }
        ),
        runs=(fixed_id("secretive-1"),),
    ),
    *(
        SampleMessage(
            kind="secretive poison", body=body, rejected=(lambda message_id: message_id,), code=code
        )
        for body, code in (
            (f"{PLANTED} {{", "not_json"),
            (json.dumps({"name": "", "data": {"password": PLANTED}}), "empty_name"),
            (json.dumps({"name": "a/b", "data": PLANTED}), "data_not_object"),
        )
    ),
)


@dataclass(frozen=True)
class Run:
    """The results of the run."""

    directory: Path
    reconciliation: Reconciliation
    published: Published
    dead_letters: int

    def text(self, name: str) -> str:
        return (self.directory / name).read_text()

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text(name).splitlines()]

    def sums(self) -> Counter[str]:
        """Each counter, summed over all reports."""
        counters = {m.name for m in metrics.METRICS if m.kind is metrics.Kind.COUNTER}
        found = Counter[str]()
        for document in self.lines("emf.jsonl"):
            found.update({name: document[name] for name in counters if name in document})
        return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return asyncio.run(_run(tmp_path_factory.mktemp("run")))


async def _run(directory: Path) -> Run:
    plan = Plan(
        directory=directory,
        functions=[Function(name="all", on="*")],
        settings={
            "RELAY_METRICS": "emf",
            "RELAY_EMF_TARGET": str(directory / "emf.jsonl"),
            "RELAY_LOG_FILE": str(directory / "audit.log"),
            "RELAY_LOG_LEVEL": "debug",
            "RELAY_INNGEST_EVENT_KEY": f"{PLANTED}-event-key",
            "RELAY_INNGEST_SIGNING_KEY": f"signkey-test-{PLANTED}",
            "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-aws",
        },
    )
    async with local_environment(plan) as environment:
        publisher = Publisher(environment.client, environment.queue_url, fifo=False)
        reconciliation = await _perform(environment, publisher)
        dead_letters = len(environment.sqs.queues["relay-dlq"].messages())
    return Run(directory, reconciliation, publisher.record, dead_letters)


async def _perform(environment: Environment, publisher: Publisher) -> Reconciliation:
    assert environment.inngest is not None
    queue, dead = (environment.sqs.queues[name] for name in ("relay", "relay-dlq"))
    script = [*SECRETIVE, *traffic(MESSAGES, 11, pushed=True)]
    publishing = asyncio.create_task(publisher.publish(script))
    inngest = environment.inngest
    await _until(lambda: sum(inngest.acknowledged.values()) > MESSAGES / 4)
    await inngest.down()
    await asyncio.sleep(1.5)  # an outage has a length; nothing waits for this one
    await inngest.up()
    await publishing
    await _until(lambda: not queue.messages())
    await inngest.settled()
    return reconcile(
        publisher.record, inngest.events, inngest.runs, inngest.functions, dead.messages(), 0
    )


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - the change is another process's
            await asyncio.sleep(0.02)


def test_the_run_reconciles_to_begin_with(run: Run) -> None:
    assert run.reconciliation.consistent, run.reconciliation.unexplained


def test_the_metrics_are_exactly_the_reconciled_counts(run: Run) -> None:
    sums, reconciled = run.sums(), run.reconciliation
    assert sums["Delivered"] == run.published.runs.total()
    assert sums["Rejected"] == reconciled.dead_lettered == len(run.published.rejected)
    assert sums["Delivered"] + sums["Rejected"] == reconciled.published
    assert sums["DeadLettered"] == run.dead_letters
    assert sums["Received"] == MESSAGES + len(SECRETIVE)
    assert sums["DeliveredInSlo"] == sums["Delivered"] - sums["Duplicates"]
    assert (sums["Retried"], sums["Ambiguous"], sums["TelemetryFailures"]) == (0, 0, 0)


def test_each_codes_count_is_the_reconciled_one(run: Run) -> None:
    codes = Counter[str]()
    for document in run.lines("emf.jsonl"):
        codes.update(document.get("RejectedByCode", {}))
    assert codes == run.reconciliation.codes


def test_every_message_has_one_line_with_its_outcome(run: Run) -> None:
    ends = [line for line in run.lines("audit.log") if "outcome" in line]
    assert len({line["message_id"] for line in ends}) == len(ends) == MESSAGES + len(SECRETIVE)
    rejected = [line["message_id"] for line in ends if line["outcome"] == "rejected"]
    assert len(rejected) == run.dead_letters
    logged = {line["event_id"] for line in ends if "event_id" in line}
    logged |= {e["id"] for line in ends for e in line.get("events", ()) if "id" in e}
    assert logged >= set(run.published.runs)


def test_the_outage_has_two_lines_in_file_and_standard_output(run: Run) -> None:
    for name in ("audit.log", "relay.log"):
        lines = [line for line in run.lines(name) if "circuit" in line and "counts" not in line]
        assert [line["circuit"] for line in lines] == ["open", "closed"]
        assert lines[1]["seconds"] >= 1.0


def test_standard_output_has_no_messages(run: Run) -> None:
    screen = run.lines("relay.log")
    assert not any("outcome" in line for line in screen)
    assert any("counts" in line for line in screen)


@pytest.mark.parametrize("name", ["audit.log", "relay.log", "emf.jsonl"])
def test_no_secret_is_written(run: Run, name: str) -> None:
    assert run.text(name)
    assert PLANTED not in run.text(name)
