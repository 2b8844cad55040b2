"""The function: its code, its queue's clocks, and how the event source mapping invokes it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from relay.settings import clocks
from tests.deploy.template import Template, listed


@pytest.fixture(scope="module")
def ordered(synthesized: Path) -> Template:
    return Template.of(synthesized / "function-fifo.json")


@pytest.fixture(scope="module")
def fast(synthesized: Path) -> Template:
    return Template.of(synthesized / "function-fast.json")


def mapping(template: Template) -> dict[str, Any]:
    return template.one("AWS::Lambda::EventSourceMapping")


def test_it_runs_the_relays_handler_on_a_patched_python(
    function: Template, ordered: Template
) -> None:
    properties = function.one("AWS::Lambda::Function")
    assert properties["Handler"] == "relay.app.aws_lambda.handler"
    assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["arm64"])
    other = ordered.one("AWS::Lambda::Function")
    assert (other["Runtime"], other["Architectures"]) == ("python3.14", ["x86_64"])


def test_only_what_failed_comes_back(function: Template, ordered: Template) -> None:
    for template in (function, ordered):
        assert mapping(template)["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_invocations_at_once_are_limited_where_they_are_received(function: Template) -> None:
    # With reserved concurrency alone, messages would be received for invocations that are refused.
    assert mapping(function)["ScalingConfig"] == {"MaximumConcurrency": 10}
    assert "ProvisionedPollerConfig" not in mapping(function)
    assert "ReservedConcurrentExecutions" not in function.one("AWS::Lambda::Function")


def test_provisioned_pollers_replace_the_maximum_concurrency(fast: Template) -> None:
    found = mapping(fast)
    assert found["ProvisionedPollerConfig"] == {"MinimumPollers": 2, "MaximumPollers": 20}
    assert "ScalingConfig" not in found
    assert (found["BatchSize"], found["MaximumBatchingWindowInSeconds"]) == (100, 2)


def test_a_fifo_queue_has_no_window_and_small_batches(ordered: Template) -> None:
    found = mapping(ordered)
    assert found["BatchSize"] == 10
    assert "MaximumBatchingWindowInSeconds" not in found
    assert ordered.queue("events.fifo")["FifoQueue"] is True
    assert ordered.one("AWS::Lambda::Function")["ReservedConcurrentExecutions"] == 40


def test_messages_are_hidden_for_six_timeouts_and_the_window(
    function: Template, fast: Template
) -> None:
    for template, window in ((function, 0), (fast, 2)):
        timeout = template.one("AWS::Lambda::Function")["Timeout"]
        assert template.queue("events")["VisibilityTimeout"] == 6 * timeout + window


def test_an_invocation_is_long_enough_for_one_attempt(function: Template) -> None:
    timeout = function.one("AWS::Lambda::Function")["Timeout"]
    attempt = clocks.REQUEST_TIMEOUT + clocks.CONFIRM_DEADLINE
    assert attempt + clocks.LAMBDA_MARGIN <= timeout <= clocks.LONGEST_LAMBDA_TIMEOUT


def test_an_outage_of_six_hours_empties_nothing_into_the_dead_letter_queue(
    function: Template,
) -> None:
    queue = function.queue("events")
    allowed = queue["RedrivePolicy"]["maxReceiveCount"]
    # A relay that is down altogether: each receive hides the message for the queue's timeout.
    receives = 6 * 3_600 / queue["VisibilityTimeout"]
    assert receives <= 20 < allowed
    assert allowed * queue["VisibilityTimeout"] >= clocks.OUTAGE
    # One that is up and fails at once hides it for 2, 4, 8 ... seconds first.
    doubled = math.ceil(math.log2(queue["VisibilityTimeout"] / clocks.FIRST_BACKOFF))
    assert receives + doubled < allowed / 10


def test_the_variables_are_those_that_lambda_accepts(function: Template) -> None:
    given = function.one("AWS::Lambda::Function")["Environment"]["Variables"]
    assert {"RELAY_QUEUE_URL", "RELAY_DLQ_URL", "RELAY_INNGEST_EVENT_KEY_SECRET"} <= given.keys()
    # Lambda refuses a function that sets one of its own.
    assert not [name for name in given if name.startswith("AWS_")]


def test_what_it_prints_goes_to_the_stacks_log_group_without_lines_of_the_platform(
    function: Template,
) -> None:
    log = function.one("AWS::Lambda::Function")["LoggingConfig"]
    assert log["SystemLogLevel"] == "WARN"
    group = function.resources[log["LogGroup"]["Ref"]]["Properties"]
    assert (group["LogGroupName"], group["RetentionInDays"]) == ("/relay/function", 90)


def sids(template: Template) -> dict[str, set[str]]:
    found = {s["Sid"]: set(listed(s["Action"])) for s in template.statements() if "Sid" in s}
    operators = {"ManageDeadLetters", "Redrive", "ReadAuditLog", "ReadMetrics", "Publish"}
    return {sid: actions for sid, actions in found.items() if sid not in operators}


def test_its_role_has_what_a_task_has_and_writes_its_own_log(
    function: Template, fargate: Template
) -> None:
    role, task = sids(function), sids(fargate)
    assert role.pop("Log") == {"logs:CreateLogStream", "logs:PutLogEvents"}
    # Metrics are lines of the log, in the format that CloudWatch extracts them from.
    assert role == {sid: actions for sid, actions in task.items() if sid != "Metrics"}


def test_lambda_may_receive_and_delete(function: Template) -> None:
    assert sids(function)["MainQueue"] >= {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    }


def test_metrics_that_are_sent_by_requests_need_the_permission(fast: Template) -> None:
    assert sids(fast)["Metrics"] == {"cloudwatch:PutMetricData"}


def test_in_a_vpc_lambda_may_create_its_network_interfaces(
    function: Template, ordered: Template
) -> None:
    assert "ec2:CreateNetworkInterface" in sids(ordered)["Network"]
    vpc = ordered.one("AWS::Lambda::Function")["VpcConfig"]
    assert vpc["SubnetIds"] == ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]
    assert "Network" not in sids(function)
    assert "VpcConfig" not in function.one("AWS::Lambda::Function")
