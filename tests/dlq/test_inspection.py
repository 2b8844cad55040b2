"""`relay dlq pull`, `stats`, `list` and `show`: looking changes nothing."""

import gzip
import json
from pathlib import Path

import pytest

from relay.cli.dlq.output import Progress
from relay.dlq.snapshot import Snapshot, Unreadable
from relay.local.clock import ManualClock
from relay.local.sqs import Fault
from relay.model.message import Attribute
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute


async def test_a_pull_takes_everything_and_releases_it(
    relay: Relay, queues: LocalQueues, tmp_path: Path
) -> None:
    await queues.send("dead", *(event(i) for i in range(37)), attributes=origin_attribute("a"))
    ended = await relay("dlq", "pull", "now.jsonl.gz", *QUICK)
    assert (ended.code, ended.out) == (0, "37 messages in now.jsonl.gz\n")
    assert queues.visible("dead") == 37
    again = await relay("dlq", "pull", "now.jsonl.gz", *QUICK)
    assert (again.code, "not overwritten" in again.err) == (2, True)
    snapshot = Snapshot(tmp_path / "now.jsonl.gz")
    assert len(list(snapshot)) == 37
    assert snapshot.end is not None
    assert snapshot.end.complete
    assert (tmp_path / "now.jsonl.gz").stat().st_mode & 0o077 == 0


async def test_a_snapshot_has_every_field_of_a_message(
    relay: Relay, queues: LocalQueues, tmp_path: Path
) -> None:
    attributes = {"raw": Attribute("Binary.x", b"\x00\xff"), "n": Attribute("Number", "1.50")}
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    await queues.send("main", event(), attributes=attributes, trace_header=trace, group_id="t")
    sent_at = queues.stored("main")[0].sent_at
    await queues.move_by_sqs()
    assert (await relay("dlq", "pull", "now.jsonl", *QUICK)).code == 0
    [message] = Snapshot(tmp_path / "now.jsonl")
    assert message.attributes == attributes
    assert (message.body.decode(), message.trace_header) == (event(), trace)
    assert (message.group_id, message.sent_at) == ("t", sent_at)
    assert message.dead_letter_source == queues.sqs.queues["main"].arn


async def test_a_damaged_snapshot_is_refused_with_its_line(
    relay: Relay, queues: LocalQueues, tmp_path: Path
) -> None:
    await queues.send("dead", event(1), event(2))
    await relay("dlq", "pull", "now.jsonl.gz", *QUICK)
    text = gzip.decompress((tmp_path / "now.jsonl.gz").read_bytes())
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes(text.replace(b'"number\\":1', b'"number\\":7'))
    ended = await relay("dlq", "stats", whole)
    assert ended.code == 1
    assert "line 2: it does not match its checksum" in ended.err
    lines = text.splitlines(keepends=True)
    whole.write_bytes(b"".join([lines[0], lines[1], lines[3]]))
    with pytest.raises(Unreadable, match="not complete"):
        list(Snapshot(whole))
    (tmp_path / "now.jsonl.gz").write_bytes(gzip.compress(text)[:-20])
    with pytest.raises(Unreadable, match="cannot be read to its end"):
        list(Snapshot(tmp_path / "now.jsonl.gz"))


async def test_a_fifo_pull_reports_that_it_received_only_the_first_of_a_group(
    relay: Relay, queues: LocalQueues
) -> None:
    for i in range(14):
        await queues.send("dead.fifo", event(i), group_id="g")
    ended = await relay("dlq", "pull", "now.jsonl", *QUICK, "--queue", "main.fifo")
    assert ended.code == 3
    assert "not complete" in ended.err
    assert queues.visible("dead.fifo") == 14


async def test_an_error_in_the_middle_of_a_pull_releases_everything(
    relay: Relay, queues: LocalQueues, tmp_path: Path
) -> None:
    await queues.send("dead", *(event(i) for i in range(25)))
    queues.sqs.faults.add(Fault(action="ReceiveMessage", skip=2, error="AccessDenied"))
    ended = await relay("dlq", "pull", "now.jsonl", *QUICK)
    assert ended.code == 1
    assert "sqs:ReceiveMessage" in ended.err
    queues.sqs.faults.clear()
    assert queues.visible("dead") == 25
    assert left_of("now", tmp_path) == []


def left_of(name: str, directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if name in path.name]


async def test_statistics_count_by_name_code_source_hour_and_shape(
    relay: Relay, queues: LocalQueues
) -> None:
    for i in range(3):
        await queues.send(
            "dead", event(i), attributes=origin_attribute(f"a{i}", code="event_too_large")
        )
    await queues.send(
        "dead", '{"name":', attributes=origin_attribute("b", code="not_json", source="second")
    )
    await queues.send("main", event(9))
    await queues.move_by_sqs()
    data = json.loads((await relay("dlq", "stats", "--json", *QUICK)).out)
    assert (data["count"], data["events"]) == (5, 4)
    groups = {(group["name"], group["code"]): group["count"] for group in data["groups"]}
    assert groups == {
        ("shop/order", "event_too_large"): 3,
        ("(no event)", "not_json"): 1,
        ("shop/order", "moved_by_sqs"): 1,
    }
    assert data["by"]["source"] == {"main": 4, "second": 1}
    assert data["by"]["shape"] == {"{data:{number:int},name:str}": 4, "text": 1}
    assert data["by"]["hour"] == {"2026-01-01 00h": 5}
    assert data["first_expiry"] == pytest.approx(queues.clock.time() + 1_209_600, abs=2)


async def test_statistics_are_a_table_for_people(relay: Relay, queues: LocalQueues) -> None:
    await queues.send(
        "dead", event(), attributes=origin_attribute("a", reason="bell \x07 and \x1b[31m red")
    )
    ended = await relay("dlq", "stats", *QUICK)
    assert ended.code == 0
    assert "1 messages with 1 events in dead" in ended.out
    assert "SQS deletes the first" in ended.out
    assert "shop/order" in ended.out
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out


async def test_an_empty_queue_is_reported_as_empty(relay: Relay, queues: LocalQueues) -> None:
    ended = await relay("dlq", "stats", *QUICK)
    assert (ended.code, ended.out) == (0, "0 messages with 0 events in dead\n")


async def test_a_list_has_a_line_for_each_matching_dead_letter(
    relay: Relay, queues: LocalQueues
) -> None:
    await queues.send("dead", event(1), attributes=origin_attribute("one"))
    await queues.send("dead", event(2), attributes=origin_attribute("two", code="expiring"))
    await relay("dlq", "pull", "now.jsonl", *QUICK)
    before = queues.sqs.requests.total()
    listed = await relay("dlq", "list", "now.jsonl", "--code", "expiring")
    header, line = listed.out.splitlines()
    assert header.split() == ["first", "sent", "event", "code", "id", "reason"]
    assert line.split()[-5:] == ["shop/order", "expiring", "two", "it", "failed"]
    [line] = (await relay("dlq", "list", "now.jsonl", "--id", "one", "--json")).out.splitlines()
    assert json.loads(line)["base_id"] == "one"
    assert queues.sqs.requests.total() == before, "reading a snapshot makes no request"


async def test_everything_about_one_dead_letter_is_shown(relay: Relay, queues: LocalQueues) -> None:
    body = event(7, id="mine")
    await queues.send("dead", body, attributes=origin_attribute("a", hops=2, may_have_run=True))
    shown = await relay("dlq", "show", "mine", *QUICK)
    for expected in (
        "fails_alone",
        "it failed",
        "times dead-lettered: 2",
        "may have run: True",
        body,
    ):
        assert expected in shown.out
    whole = json.loads((await relay("dlq", "show", "mine", "--json", *QUICK)).out)
    assert whole["events"][0]["data"] == {"number": 7}
    assert whole["message"]["body"] == body
    await queues.send("dead", '{"id":"early","name":"n","ts":5}', attributes=origin_attribute("b"))
    early = await relay("dlq", "show", "early", *QUICK)
    assert "ts_in_seconds" in early.out or "ts_out_of_range" in early.out
    absent = await relay("dlq", "show", "nobody", *QUICK)
    assert (absent.code, "nobody" in absent.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("list", "absent.jsonl"), 2, "absent.jsonl cannot be read"),
        (("list", "--where", "a..b"), 2, "not a JMESPath expression"),
        (("list", "--since", "soon"), 2, "neither a time"),
        (("list", "--attribute", "x"), 2, "NAME=PATTERN"),
        (("stats", "--dlq", "absent"), 1, "does not exist"),
        (("stats", "--queue", "dead"), 1, "no redrive policy"),
        (("stats", "--dlq", "main"), 2, "main is the main queue itself"),
        (("redrive", "--direct", "--to", "x"), 2, "exclude each other"),
        (("redrive", "--edit", "a..b"), 2, "not a JMESPath expression"),
        (("redrive", "--canary-through-queue"), 2, "RELAY_LEDGER_TABLE"),
        (("redrive", "--native", "--limit", "1"), 2, "--native"),
        (("redrive", "--to", "absent"), 1, "does not exist"),
        (("drop",), 2, "at least one filter"),
    ],
)
async def test_wrong_usage_is_a_sentence(
    relay: Relay, queues: LocalQueues, words: tuple[str, ...], code: int, message: str
) -> None:
    ended = await relay("dlq", *words)
    assert ended.code == code
    assert message in ended.err
    assert ended.err.count("\n") == 1


async def test_a_queue_with_a_dead_letter_queue_of_its_own_causes_a_warning(
    relay: Relay, queues: LocalQueues
) -> None:
    queues.make("other", "dead")
    ended = await relay("dlq", "stats", "--dlq", "other", *QUICK)
    assert (ended.code, "a dead-letter queue of its own, dead" in ended.err) == (0, True)


async def test_no_queue_at_all_is_wrong_usage(relay: Relay, queues: LocalQueues) -> None:
    ended = await relay("dlq", "stats", RELAY_QUEUE_URL=None)
    assert (ended.code, "--dlq or --queue" in ended.err) == (2, True)


@pytest.mark.parametrize("option", ["--since", "--until"])
async def test_an_invalid_time_is_reported_with_its_option(relay: Relay, option: str) -> None:
    ended = await relay("dlq", "list", option, "yesterday")
    assert ended.code == 2
    assert ended.err.startswith(f"relay: {option}: 'yesterday' is neither a time")


def test_progress_is_json_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(0.0)
    with Progress("done", total=100, clock=clock.time) as progress:
        for done in (10, 20, 30):
            clock.advance(0.6)
            progress.at(done, deleted=done - 1)
    [line] = capsys.readouterr().err.splitlines()
    data = json.loads(line)
    assert (data["progress"], data["done"], data["of"], data["deleted"]) == ("done", 20, 100, 19)
    assert (data["rate"], data["seconds_left"]) == (16.7, 4.8)
