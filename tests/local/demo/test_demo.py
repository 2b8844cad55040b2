"""The demo as a user runs it, and the reconciliation that must find every violation."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from relay.local.demo.display import Display
from relay.local.demo.publisher import traffic
from relay.local.demo.reconciliation import Published, Reconciliation, reconcile
from relay.local.demo.samples import SampleMessage, fixed_id, message_id_plus
from relay.local.inngest import Function, Run, StoredEvent
from relay.local.sqs import Stored
from relay.local.sqs.parameters import AttributeValue
from relay.model.origin import ATTRIBUTE, Origin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "relay", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "published" in line:
            break
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
    assert len(children) == 1
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) == (130, "relay: interrupted; nothing is left running\n")
    assert not Path(f"/proc/{children[0]}").exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [("--fifo",), ("--host", "pigeon")])
def test_fifo_needs_a_host_that_keeps_the_order(options: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay", "demo", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "poller" in done.stderr
    assert "lambda" in done.stderr


def test_the_same_seed_is_the_same_traffic() -> None:
    assert [p.body for p in traffic(200, 7, pushed=True)] == [
        p.body for p in traffic(200, 7, pushed=True)
    ]
    kinds = {p.kind for p in traffic(2_000, 1, pushed=True)}
    assert {"event", "array", "SNS", "EventBridge", "CloudEvents", "S3", "periodic task"} <= kinds
    assert sum(kind.startswith("poison") for kind in kinds) == 22


FUNCTION = Function(name="f", on="a/b")


def published() -> Published:
    record = Published()
    record.add(SampleMessage(kind="event", body="", runs=(fixed_id("e1"),)), "m1")
    record.add(
        SampleMessage(kind="poison", body="", rejected=(message_id_plus(),), code="not_json"), "m2"
    )
    return record


def stored(event_id: str = "e1") -> StoredEvent:
    raw = msgspec.Raw(b"{}")
    return StoredEvent(
        internal_id="01A", id=event_id, name="a/b", data=raw, user=raw, ts=1, received_at=1.0
    )


def run(event_id: str = "e1") -> Run:
    return Run(
        run_id="r",
        function="f",
        event_id=event_id,
        event_name="a/b",
        internal_id="01A",
        data=msgspec.Raw(b"{}"),
        ts=1,
        at=1.0,
    )


def dead_letter(origin: Origin) -> Stored:
    packed = AttributeValue(data_type="String", string_value=origin.pack())
    return Stored(
        serial=1,
        message_id="dead",
        body="x",
        md5_of_body="",
        size=1,
        sent_at=1.0,
        attributes={ATTRIBUTE: packed},
    )


DEAD = dead_letter(Origin(id="m2", code="not_json"))


def reconciled(
    events: list[StoredEvent], runs: list[Run], dead: list[Stored], in_queue: int = 0
) -> Reconciliation:
    return reconcile(published(), events, runs, [FUNCTION], dead, in_queue)


def test_matching_records_are_consistent() -> None:
    found = reconciled([stored()], [run()], [DEAD])
    assert found.consistent
    assert json.loads(found.summary(1.0))["ran"] == 1


def test_a_group_out_of_order_is_found() -> None:
    record = Published()
    for name in ("a", "b", "c"):
        record.add(
            SampleMessage(kind="event", body="", runs=(fixed_id(name),), group="g"), f"m-{name}"
        )
    events = [stored(name) for name in ("a", "c", "b")]
    runs = [run(name) for name in ("a", "c", "b")]
    assert reconcile(record, events, runs, [FUNCTION], [], 0).consistent
    assert reconcile(record, events, runs, [FUNCTION], [], 0, ordered=True).out_of_order == 1


@pytest.mark.parametrize("ordered", [True, False])
def test_the_order_within_groups_is_shown_only_if_it_is_guaranteed(*, ordered: bool) -> None:
    printed = io.StringIO()
    found = reconcile(published(), [stored()], [run()], [FUNCTION], [DEAD], 0, ordered=ordered)
    Display(Console(file=printed), lambda: 0.0).result(found)
    assert ("out of order within their group" in printed.getvalue()) is ordered


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("an event that never arrived", reconciled([], [], [DEAD])),
        ("a dead letter that is missing", reconciled([stored()], [run()], [])),
        ("an accepted event that a function never ran", reconciled([stored()], [], [DEAD])),
        ("a second run", reconciled([stored()], [run(), run()], [DEAD])),
        ("a message left in the queue", reconciled([stored()], [run()], [DEAD], 1)),
        ("an event under another id", reconciled([stored("x")], [run("x")], [DEAD])),
        ("poison that was accepted", reconciled([stored(), stored("m2")], [run(), run("m2")], [])),
        (
            "a dead letter that also ran",
            reconciled([stored()], [run()], [DEAD, dead_letter(Origin(id="e1", code="not_json"))]),
        ),
        (
            "the wrong reason",
            reconciled([stored()], [run()], [dead_letter(Origin(id="m2", code="too_deep"))]),
        ),
        (
            "a dead letter without its id",
            reconciled([stored()], [run()], [replace(DEAD, attributes={})]),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_violation_is_found(what: str, found: Reconciliation) -> None:
    assert not found.consistent, what
