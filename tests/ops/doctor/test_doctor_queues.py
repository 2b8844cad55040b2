"""Each check of the queues' attributes, with attributes as SQS returns them."""

from __future__ import annotations

import json

import pytest

from relay.aws.sqs_values import QueueAttributes, read_attributes
from relay.local.clock import ManualClock
from relay.local.sqs.account import Account
from relay.local.sqs.actions.queues import described
from relay.ops.doctor.queues import (
    QueueExpectations,
    check_dead_letter_queue,
    check_queue,
    check_queue_pair,
)
from relay.ops.doctor.result import CheckResult, failed
from relay.settings import clocks

ARN = "arn:aws:sqs:us-east-1:000000000000:"
PUSH = QueueExpectations(
    pull=False,
    max_receive_count=clocks.MAX_RECEIVE_COUNT,
    queue_retention=clocks.QUEUE_RETENTION,
    dlq_retention=clocks.DLQ_RETENTION,
    longest_answer=clocks.Clocks().longest_answer,
    longest_hidden=clocks.VISIBILITY_TIMEOUT,
    turn=clocks.HOLD / clocks.HTTP_CONNECTIONS,
    max_event_bytes=3_145_728,
)
PULL = QueueExpectations(
    pull=True,
    max_receive_count=clocks.MAX_RECEIVE_COUNT,
    queue_retention=clocks.QUEUE_RETENTION,
    dlq_retention=clocks.DLQ_RETENTION,
    longest_answer=clocks.Clocks().longest_answer,
    longest_hidden=clocks.VISIBILITY_TIMEOUT,
    turn=0.0,
    max_event_bytes=3_145_728,
)
VISIBILITY = {PUSH: "1080", PULL: "120"}


def queues(expected: QueueExpectations) -> tuple[dict[str, str], dict[str, str]]:
    """The attributes of two correct queues, as SQS returns them."""
    account = Account("000000000000", "us-east-1", clock=ManualClock())
    dead = account.create("dead", {"MessageRetentionPeriod": "1209600"}, {})
    policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": "1000"}
    main = account.create(
        "main",
        {
            "MessageRetentionPeriod": "1123200",
            "VisibilityTimeout": VISIBILITY[expected],
            "RedrivePolicy": json.dumps(policy),
        },
        {},
    )
    return described(main), described(dead)


def results(
    main: QueueAttributes, dead: QueueAttributes, expected: QueueExpectations = PUSH
) -> dict[str, CheckResult]:
    found = [
        *check_queue(main, expected),
        *check_dead_letter_queue(dead, expected),
        *check_queue_pair(main, dead, expected),
    ]
    assert len({result.check for result in found}) == len(found)
    return {result.check: result for result in found}


@pytest.mark.parametrize("expected", [PUSH, PULL], ids=["push", "pull"])
def test_two_correct_queues_pass_every_check(expected: QueueExpectations) -> None:
    main, dead = map(read_attributes, queues(expected))
    assert {result.status for result in results(main, dead, expected).values()} == {"ok"}


@pytest.mark.parametrize(
    ("check", "status", "changes", "expected_text"),
    [
        ("queue.retention", "fail", {"MessageRetentionPeriod": "345600"}, "4 d"),
        ("queue.retention", "warn", {"MessageRetentionPeriod": "1209600"}, "14 d"),
        ("queue.backlog", "fail", {"ApproximateNumberOfMessages": "11500000"}, "about 11232000"),
        ("queue.hidden", "fail", {"MessageRetentionPeriod": "10799"}, "for up to 18 min"),
        ("queue.visibility", "warn", {"VisibilityTimeout": "30"}, "30 s"),
        ("queue.maximum-size", "warn", {"MaximumMessageSize": "262144"}, "256 KiB"),
        ("queue.event-size", "warn", {"MaximumMessageSize": "4194304"}, "4 MiB"),
        ("queue.mode", "warn", {"FifoQueue": "true"}, "FIFO"),
        ("queue.redrive-policy", "warn", {"RedrivePolicy": ""}, "no redrive policy"),
        (
            "queue.redrive-policy",
            "warn",
            {"RedrivePolicy": f'{{"deadLetterTargetArn": "{ARN}dead", "maxReceiveCount": 5}}'},
            "maxReceiveCount is 5",
        ),
        (
            "queue.redrive-policy",
            "warn",
            {"RedrivePolicy": f'{{"deadLetterTargetArn": "{ARN}x", "maxReceiveCount": 1000}}'},
            f"its target is {ARN}x",
        ),
        ("dlq.type", "fail", {"FifoQueue": "true"}, "FIFO queue, standard"),
        ("dlq.separate", "fail", {"QueueArn": f"{ARN}dead"}, f"{ARN}dead"),
    ],
)
def test_a_wrong_attribute_of_the_main_queue_is_reported(
    check: str, status: str, changes: dict[str, str], expected_text: str
) -> None:
    main, dead = queues(PUSH)
    result = results(read_attributes({**main, **changes}), read_attributes(dead))[check]
    assert (result.status, bool(result.why), bool(result.fix)) == (status, True, True)
    assert expected_text in result.found


@pytest.mark.parametrize(
    ("check", "status", "changes", "expected_text"),
    [
        ("dlq.retention", "warn", {"MessageRetentionPeriod": "345600"}, "4 d"),
        ("dlq.maximum-size", "warn", {"MaximumMessageSize": "262144"}, "256 KiB"),
        ("dlq.size", "fail", {"MaximumMessageSize": "262144"}, "256 KiB, the queue 1 MiB"),
        (
            "dlq.redrive-policy",
            "warn",
            {"RedrivePolicy": f'{{"deadLetterTargetArn": "{ARN}x", "maxReceiveCount": 5}}'},
            f"{ARN}x",
        ),
        ("dlq.allow-policy", "fail", {"RedriveAllowPolicy": '{"redrivePermission":"denyAll"}'}, ""),
        (
            "dlq.allow-policy",
            "fail",
            {
                "RedriveAllowPolicy": '{"redrivePermission":"byQueue",'
                f'"sourceQueueArns":["{ARN}another"]}}'
            },
            "byQueue",
        ),
    ],
)
def test_a_wrong_attribute_of_the_dead_letter_queue_is_reported(
    check: str, status: str, changes: dict[str, str], expected_text: str
) -> None:
    main, dead = queues(PUSH)
    result = results(read_attributes(main), read_attributes({**dead, **changes}))[check]
    assert (result.status, bool(result.why), bool(result.fix)) == (status, True, True)
    assert expected_text in result.found


@pytest.mark.parametrize("seconds", ["0", "30", "43200"])
def test_a_visibility_timeout_outside_the_range_for_polling_is_a_warning(seconds: str) -> None:
    main, dead = queues(PULL)
    attributes = read_attributes({**main, "VisibilityTimeout": seconds})
    assert results(attributes, read_attributes(dead), PULL)["queue.visibility"].status == "warn"


def test_in_pull_mode_any_retention_is_correct() -> None:
    main, dead = queues(PULL)
    attributes = read_attributes({**main, "MessageRetentionPeriod": "345600"})
    assert results(attributes, read_attributes(dead), PULL)["queue.retention"].status == "ok"


@pytest.mark.parametrize(
    ("expected", "check", "waiting", "retention", "fix"),
    [
        (PUSH, "queue.hidden", 0, 300, "to at least 10800 (3 h), or sqsd's"),
        (PULL, "queue.backlog", 3_001, 300, "to at least 301, or run more relays"),
        (PUSH, "queue.backlog", 7_200, 1_123_200, None),
        (PULL, "queue.backlog", 12_100_000, 1_209_600, "run more relays"),
        (PULL, "queue.backlog", 3_000, 300, None),
    ],
)
def test_a_retention_that_cannot_be_kept_fails_with_the_one_that_can(
    expected: QueueExpectations, check: str, waiting: int, retention: int, fix: str | None
) -> None:
    main, dead = queues(expected)
    changes = {
        "ApproximateNumberOfMessages": str(waiting),
        "MessageRetentionPeriod": str(retention),
    }
    found = results(read_attributes({**main, **changes}), read_attributes(dead), expected)
    assert found[check].status == ("ok" if fix is None else "fail")
    assert (fix or "") in found[check].fix
    assert ("queue.hidden" in found) is not expected.pull


def test_a_backlog_that_holds_older_messages_back_in_push_mode_is_a_warning() -> None:
    main, dead = queues(PUSH)
    waiting = read_attributes({**main, "ApproximateNumberOfMessages": "7201"})
    result = results(waiting, read_attributes(dead))["queue.backlog"]
    assert result.status == "warn"
    assert "7201 messages wait; a relay can dead-letter about 7200" in result.found
    assert "sqsd's connections" in result.why


def test_a_queue_listed_in_the_redrive_allow_policy_may_dead_letter() -> None:
    main, dead = queues(PUSH)
    allow = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}main"]})
    attributes = read_attributes({**dead, "RedriveAllowPolicy": allow})
    assert results(read_attributes(main), attributes)["dlq.allow-policy"].status == "ok"


def test_a_warning_is_not_a_failure() -> None:
    main, dead = queues(PUSH)
    attributes = read_attributes({**main, "VisibilityTimeout": "30"})
    assert not failed(results(attributes, read_attributes(dead)).values())
