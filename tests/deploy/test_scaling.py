"""Scaling by backlog is part of the bundle, names no queue and waits while the circuit is open."""

from __future__ import annotations

from typing import Any

from relay.telemetry import metrics
from tests.deploy.bundle_files import EXTENSIONS, extensions, loaded
from tests.deploy.template import Template

SCALING = next(path for path in EXTENSIONS if "scaling" in path.name)


def policy() -> dict[str, Any]:
    found: dict[str, Any] = loaded(SCALING)["Resources"]["RelayBacklogPolicy"]["Properties"]
    return found


def target() -> dict[str, Any]:
    found: dict[str, Any] = policy()["TargetTrackingConfiguration"]
    return found


def queries() -> dict[str, Any]:
    found = target()["CustomizedMetricSpecification"]["Metrics"]
    return {query["Id"]: query for query in found}


def backlog(
    *, circuit: int = 0, paused: int = 0, waiting: int, inflight: int, instances: int
) -> float:
    """The policy's metric: Python can evaluate its expression, given the functions."""
    values = {"circuit": circuit, "waiting": waiting, "inflight": inflight, "instances": instances}
    values["paused"] = paused
    functions = {"IF": lambda c, a, b: a if c else b, "FILL": lambda series, _value: series}
    return float(eval(queries()["backlog"]["Expression"], functions, values))


def test_it_counts_messages_waiting_and_in_flight_for_each_instance() -> None:
    assert backlog(waiting=8_000, inflight=1_000, instances=3) == 3_000


def test_while_the_circuit_is_open_the_metric_is_exactly_on_target() -> None:
    for state in ("half-open", "open", "halted"):
        value = metrics.CIRCUIT_STATES[state]
        target_value = backlog(circuit=value, waiting=10**6, inflight=0, instances=2)
        assert target_value == target()["TargetValue"]


def test_while_the_queue_is_paused_the_metric_is_exactly_on_target() -> None:
    assert backlog(paused=1, waiting=10**6, inflight=50, instances=2) == target()["TargetValue"]


def test_the_relays_metrics_are_in_the_table_with_their_dimensions() -> None:
    for name, expected in (("circuit", metrics.CIRCUIT_STATE), ("paused", metrics.PAUSED)):
        metric = queries()[name]["MetricStat"]["Metric"]
        assert metric["Namespace"] == metrics.NAMESPACE
        assert metric["MetricName"] == expected.name
        assert tuple(d["Name"] for d in metric["Dimensions"]) == metrics.DIMENSIONS


def test_no_metric_is_summed_over_a_period() -> None:
    stats = {q["MetricStat"]["Stat"] for q in queries().values() if "MetricStat" in q}
    assert stats == {"Average", "Maximum"}


def test_the_group_reports_its_number_of_instances() -> None:
    group = loaded(SCALING)["Resources"]["AWSEBAutoScalingGroup"]["Properties"]
    assert group["MetricsCollection"] == [
        {"Granularity": "1Minute", "Metrics": ["GroupInServiceInstances"]}
    ]
    assert policy()["AutoScalingGroupName"] == {"Ref": "AWSEBAutoScalingGroup"}


def test_the_default_trigger_never_fires() -> None:
    trigger = {n: v for (space, n), v in extensions().items() if space.endswith(":trigger")}
    assert trigger["MeasureName"] == "CPUUtilization"
    # It fires above the one and below the other; a percentage is never either.
    assert (trigger["UpperThreshold"], trigger["LowerThreshold"]) == ("100", "0")


def test_the_stack_names_the_queue_and_the_service_that_the_policy_uses(
    default: Template,
) -> None:
    used = {
        d["Value"]["Fn::GetOptionSetting"]["OptionName"]
        for q in queries().values()
        if "MetricStat" in q
        for d in q["MetricStat"]["Metric"]["Dimensions"]
        if "Fn::GetOptionSetting" in d["Value"]
    }
    custom = "aws:elasticbeanstalk:customoption"
    given = {name: v for (space, name), v in default.options().items() if space == custom}
    assert given.keys() == used
    assert given == {"RelayQueueName": "relay-events", "RelayService": "relay"}
