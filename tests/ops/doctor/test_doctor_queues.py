"""Each rule about the queues, broken on a real SQS's attributes."""

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
    max_event_bytes=3_145_728,
)
PULL = QueueExpectations(
    pull=True,
    max_receive_count=clocks.MAX_RECEIVE_COUNT,
    queue_retention=clocks.QUEUE_RETENTION,
    dlq_retention=clocks.DLQ_RETENTION,
    longest_answer=clocks.Clocks().longest_answer,
    max_event_bytes=3_145_728,
)
VISIBILITY = {PUSH: "1080", PULL: "120"}


def queues(intended: QueueExpectations) -> tuple[dict[str, str], dict[str, str]]:
    """A good pair as SQS describes it."""
    account = Account("000000000000", "us-east-1", clock=ManualClock())
    dead = account.create("dead", {"MessageRetentionPeriod": "1209600"}, {})
    policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": "1000"}
    main = account.create(
        "main",
        {
            "MessageRetentionPeriod": "1123200",
            "VisibilityTimeout": VISIBILITY[intended],
            "RedrivePolicy": json.dumps(policy),
        },
        {},
    )
    return described(main), described(dead)


def findings(
    main: QueueAttributes, dead: QueueAttributes, intended: QueueExpectations = PUSH
) -> dict[str, CheckResult]:
    found = [
        *check_queue(main, intended),
        *check_dead_letter_queue(dead, intended),
        *check_queue_pair(main, dead, intended),
    ]
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize("intended", [PUSH, PULL], ids=["push", "pull"])
def test_a_good_pair_of_queues_is_all_right(intended: QueueExpectations) -> None:
    main, dead = map(read_attributes, queues(intended))
    assert {finding.state for finding in findings(main, dead, intended).values()} == {"ok"}


@pytest.mark.parametrize(
    ("check", "state", "changes", "told"),
    [
        ("queue.retention", "fail", {"MessageRetentionPeriod": "345600"}, "4 d"),
        ("queue.retention", "warn", {"MessageRetentionPeriod": "1209600"}, "14 d"),
        ("queue.visibility", "warn", {"VisibilityTimeout": "30"}, "30 s"),
        ("queue.maximum-size", "warn", {"MaximumMessageSize": "262144"}, "256 KiB"),
        ("queue.event-size", "warn", {"MaximumMessageSize": "4194304"}, "4 MiB"),
        ("queue.mode", "warn", {"FifoQueue": "true"}, "FIFO"),
        ("queue.redrive-policy", "warn", {"RedrivePolicy": ""}, "has none"),
        (
            "queue.redrive-policy",
            "warn",
            {"RedrivePolicy": f'{{"deadLetterTargetArn": "{ARN}dead", "maxReceiveCount": 5}}'},
            "after 5 receives",
        ),
        (
            "queue.redrive-policy",
            "warn",
            {"RedrivePolicy": f'{{"deadLetterTargetArn": "{ARN}x", "maxReceiveCount": 1000}}'},
            f"leads to {ARN}x",
        ),
        ("dlq.type", "fail", {"FifoQueue": "true"}, "FIFO queue, standard"),
        ("dlq.separate", "fail", {"QueueArn": f"{ARN}dead"}, f"{ARN}dead"),
    ],
)
def test_a_main_queue_that_is_set_wrongly_is_found(
    check: str, state: str, changes: dict[str, str], told: str
) -> None:
    main, dead = queues(PUSH)
    finding = findings(read_attributes({**main, **changes}), read_attributes(dead))[check]
    assert (finding.state, bool(finding.why), bool(finding.fix)) == (state, True, True)
    assert told in finding.found


@pytest.mark.parametrize(
    ("check", "state", "changes", "told"),
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
def test_a_dead_letter_queue_that_is_set_wrongly_is_found(
    check: str, state: str, changes: dict[str, str], told: str
) -> None:
    main, dead = queues(PUSH)
    finding = findings(read_attributes(main), read_attributes({**dead, **changes}))[check]
    assert (finding.state, bool(finding.why), bool(finding.fix)) == (state, True, True)
    assert told in finding.found


@pytest.mark.parametrize("seconds", ["0", "30", "43200"])
def test_a_lease_that_is_too_short_or_too_long_for_polling_is_found(seconds: str) -> None:
    main, dead = queues(PULL)
    told = read_attributes({**main, "VisibilityTimeout": seconds})
    assert findings(told, read_attributes(dead), PULL)["queue.visibility"].state == "warn"


def test_polling_goes_by_the_queues_own_retention() -> None:
    main, dead = queues(PULL)
    told = read_attributes({**main, "MessageRetentionPeriod": "345600"})
    assert findings(told, read_attributes(dead), PULL)["queue.retention"].state == "ok"


def test_a_queue_that_is_named_in_the_allow_policy_may_dead_letter() -> None:
    main, dead = queues(PUSH)
    allow = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}main"]})
    told = read_attributes({**dead, "RedriveAllowPolicy": allow})
    assert findings(read_attributes(main), told)["dlq.allow-policy"].state == "ok"


def test_a_warning_alone_is_no_failure() -> None:
    main, dead = queues(PUSH)
    told = read_attributes({**main, "VisibilityTimeout": "30"})
    assert not failed(findings(told, read_attributes(dead)).values())
