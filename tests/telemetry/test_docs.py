"""docs/metrics.md and docs/logs.md match the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from relay.model.facts import (
    CircuitChanged,
    Forwarded,
    PauseChanged,
    ProcessEnded,
    ReceivingChanged,
    StuckChanged,
)
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered, Reject, Retry
from relay.telemetry import metrics
from relay.telemetry.otlp import otlp_name
from relay.telemetry.prometheus import prometheus_name
from tests.telemetry.insights import BUILT_IN, Query
from tests.telemetry.samples import TRACE, event, log_lines, message, settled

DOCS = Path(__file__).parents[2] / "docs"
LOGS = (DOCS / "logs.md").read_text(encoding="utf-8")
METRICS = (DOCS / "metrics.md").read_text(encoding="utf-8")
QUERIES = {
    question.strip(): query.strip()
    for question, query in re.findall(
        r"\n([^\n]+)\n\n```\n(.*?)```", LOGS.split("## Questions and queries")[1], re.DOTALL
    )
}
ALWAYS = {"timestamp", "level", "service", "message"}


def documented() -> set[str]:
    """The fields that docs/logs.md names."""
    part = LOGS.split("<!-- fields -->")[1].split("<!-- /fields -->")[0]
    cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def lines() -> list[dict[str, Any]]:
    """One or more lines of each kind, as the relay writes them."""
    poison = Reject("not_json", "the body is not JSON", may_have_run=True)
    known = event("order-123-paid", trace=TRACE)
    seen = message("f6133db3-efd0-44f4-a36a-d8e76e89310c")
    late = message("m-late", sent_at=1.0, receive_count=2, group_id="g")
    twice = Delivered("01ABC", duplicate=True)
    attribute = Attribute("String", Origin(id=seen.message_id, hops=1).pack())
    redriven = message("m-redriven", attributes={ATTRIBUTE: attribute})
    found = log_lines(
        Forwarded(events=2, size=1, seconds=1.0, error="away", sent=[known]),
        Forwarded(events=2, size=1, seconds=1.0, sent=[known, event("e-late")]),
        settled(twice, results=[(known, twice)], notices=("odd",)),
        settled(),
        settled(Reject("too_large", "it is"), of=seen),
        settled(results=[(event("e-late"), Delivered())], of=late),
        settled(of=redriven),
        settled(poison),
        settled(poison, [(event("order-123-paid"), Delivered())], rejects=((1, poison),)),
        settled(Retry("held", after=30.0)),
        settled(results=[(event(f"e-{n}"), Delivered()) for n in range(150)]),
        CircuitChanged(state="open", reason="refused", seconds=9.0),
        CircuitChanged(state="halted", reason="the key", seconds=1.0, setting="RELAY_X"),
        ReceivingChanged(state="open", reason="", seconds=1.0),
        StuckChanged(stuck=True, reason="not confirmed", seconds=1.0, setting="RELAY_CONFIRM"),
        PauseChanged(paused=True, by="ana@laptop", reason="moving", seconds=0.0),
        ProcessEnded(worker=1, of=2, pid=9, how="was ended by signal 9", delay=0.5),
    )
    return [{**line, "batch": "fc10db-1"} if "batch" in line else line for line in found]


def metrics_table() -> str:
    """The table of metrics as Markdown."""
    lines = ["| CloudWatch | Prometheus | kind | unit | meaning |", "|---|---|---|---|---|"]
    for metric in metrics.METRICS:
        labels = f" By `{'`, `'.join(metric.labels)}`." if metric.labels else ""
        lines.append(
            f"| `{metric.name}` | `{prometheus_name(metric)}` | {metric.kind.value}"
            f" | {metric.unit} | {metric.description}{labels} |"
        )
    return "\n".join(lines)


def test_the_table_of_metrics_is_the_one_in_the_code() -> None:
    part = METRICS.split("<!-- metrics -->")[1].split("<!-- /metrics -->")[0]
    assert part.strip() == metrics_table(), "put the output of metrics_table() there"


def test_opentelemetry_names_follow_the_documented_rule() -> None:
    for metric in metrics.METRICS:
        bare = prometheus_name(metric).removeprefix("relay_")
        assert otlp_name(metric) == "relay." + re.sub(r"_total$|_seconds$", "", bare)


def test_the_documented_fields_are_those_of_real_lines() -> None:
    real = {name for line in lines() for name in line}
    real |= {name for line in lines() for entry in line.get("events", ()) for name in entry}
    assert real - {"id", "name", "index"} <= documented()
    in_other_lines = {
        "incomplete_copy",
        "data",
        "body",
        "counts",
        "in_flight",
        "exception",
        "stack_trace",
    }
    assert documented() - in_other_lines <= real


def test_the_sample_line_has_the_fields_of_a_real_one() -> None:
    sample = re.findall(r'^\{"timestamp".*\}$', LOGS, re.MULTILINE)[0]
    named = set(re.findall(r'"(\w+)":', sample))
    assert named == set(lines()[1]) | {"attempts", "batch", "batch_events"}


def test_each_question_has_a_query() -> None:
    assert len(QUERIES) == LOGS.split("## Questions and queries")[1].count("```\n") // 2 >= 10


@pytest.mark.parametrize("question", list(QUERIES))
def test_a_query_names_existing_fields_and_selects_some_lines_but_not_all(
    question: str,
) -> None:
    query, real = Query(QUERIES[question]), lines()
    assert query.fields <= {name for line in real for name in line}
    selected = query.select(real)
    assert 0 < len(selected) < len(real), question
    shown = query.named - query.made - BUILT_IN
    assert all(any(name in line for line in selected) for name in shown), question


def selected(words: str) -> list[dict[str, Any]]:
    (query,) = (q for question, q in QUERIES.items() if words in question)
    return Query(query).select(lines())


def test_the_queries_select_the_right_lines() -> None:
    of_the_event = selected("What became of this event?")
    assert [line["outcome"] for line in of_the_event] == ["delivered", "rejected"]
    assert {line["code"] for line in selected("What is rejected")} == {"not_json", "too_large"}
    assert [line["message_id"] for line in selected("later than the objective")] == ["m-late"]
    assert [line["circuit"] for line in selected("When was the destination unavailable")] == [
        "open",
        "halted",
    ]
    assert {line["message_id"] for line in selected("sent more than once")} == {"m-1", "m-late"}
    assert len(selected("What may have run")) == 2
    assert [line["setting"] for line in selected("What needs an operator")] == [
        "RELAY_X",
        "RELAY_CONFIRM",
    ]
