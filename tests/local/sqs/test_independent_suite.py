"""The embedded SQS judged by test suites that were written elsewhere, where a checkout is at hand.

- `LOCALSTACK_CHECKOUT`: LocalStack's repository. Its SQS tests carry what AWS answered, recorded.
  `LOCALSTACK_PYTHON` is an interpreter with its dependencies, by default the checkout's `.venv`.
- `SQS_CONSUMER_CHECKOUT`: bbc/sqs-consumer, its modules installed and built. It needs port 9324.

Both suites run unmodified, on loopback.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest

LOCALSTACK = os.environ.get("LOCALSTACK_CHECKOUT")
SQS_CONSUMER = os.environ.get("SQS_CONSUMER_CHECKOUT")
SUITE = [
    "tests/aws/services/sqs/test_sqs.py",
    "tests/aws/services/sqs/test_sqs_move_task.py",
]
PROTOCOLS = {
    "json": "not sqs_query and not TestSqsQueryApi",
    "query": "sqs_query or TestSqsQueryApi",
}
ONE_REGION = "a server holds the queues of one region; this needs two"
JSON_FOR_QUERY = "Query answers as JSON (`Accept: application/json`), which no SDK requests"
NO_SNAPSHOT = "has no recorded answer to compare with"
# Tests of that suite that are not expected to pass, by the names of their functions.
EXCEPTIONS = {
    "test_deduplication_interval": "takes five minutes; test_time.py moves a clock instead",
    "test_endpoint_strategy_with_multi_region": ONE_REGION,
    "test_fifo_delete_message_with_expired_receipt_handle": NO_SNAPSHOT,
    "test_get_list_queues_fails_json_format": JSON_FOR_QUERY,
    "test_get_list_queues_with_query_auth": JSON_FOR_QUERY,
    "test_get_queue_attributes_json_format": JSON_FOR_QUERY,
    "test_get_queue_url_multi_region": ONE_REGION,
    "test_invalid_dead_letter_arn_rejected_before_lookup": NO_SNAPSHOT,
    "test_list_queues_multi_region_with_endpoint_strategy_domain": ONE_REGION,
    "test_list_queues_multi_region_with_endpoint_strategy_standard": ONE_REGION,
    "test_marker_serialization_json_protocol": JSON_FOR_QUERY,
}
SLOW = "test_deduplication_interval"


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """The embedded server in a process of its own."""
    command = [sys.executable, "-m", "relay.local.sqs", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def localstack_results(checkout: Path, protocol: str, report: Path) -> dict[str, str | None]:
    """Each AWS-validated test with what it said when it failed, or None."""
    python = os.environ.get("LOCALSTACK_PYTHON") or f"{checkout}/.venv/bin/python"
    chosen = f"({PROTOCOLS[protocol]}) and not {SLOW}"
    # A name that was just deleted is refused as on AWS: one of the tests is about that.
    with serving("--port", "0", "--recreate-pause", "60") as url:
        paths = [checkout / "localstack-core", checkout, Path(__file__).parent]
        subprocess.run(
            [
                *(python, "-m", "pytest", "-p", "localstack_adapter", *SUITE),
                *("-q", "-p", "no:cacheprovider", "-m", "aws_validated", "-k", chosen),
                *("-o", "log_level=WARNING", f"--junitxml={report}"),
            ],
            check=False,  # a failure is one of the verdicts
            stdout=subprocess.DEVNULL,
            cwd=checkout,
            env={
                **{name: os.environ[name] for name in ("HOME", "PATH")},
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                "TEST_AWS_ENDPOINT_URL": url,
                "TEST_SKIP_LOCALSTACK_START": "1",
            },
        )
    return dict(map(_verdict, ET.parse(report).iter("testcase")))


def _verdict(case: ET.Element) -> tuple[str, str | None]:
    problem = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
    return case.attrib["name"], None if problem is None else problem.get("message", problem.tag)


def exception_for(name: str) -> str | None:
    return EXCEPTIONS.get(re.sub(r"\[.*", "", name, flags=re.DOTALL))


@pytest.mark.skipif(LOCALSTACK is None, reason="LOCALSTACK_CHECKOUT names no checkout")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_server_answers_as_aws_was_recorded_to(protocol: str, tmp_path: Path) -> None:
    results = localstack_results(Path(LOCALSTACK or ""), protocol, tmp_path / "report.xml")
    failed = {name: why for name, why in results.items() if why is not None}
    assert {name: why for name, why in failed.items() if not exception_for(name)} == {}
    passed = [name for name in results if name not in failed]
    assert [name for name in passed if exception_for(name)] == []  # then it needs no exception
    assert len(passed) > 100
    sys.stdout.write(f"{protocol}: {len(passed)} passed, {len(failed)} are exceptions\n")


@pytest.mark.skipif(SQS_CONSUMER is None, reason="SQS_CONSUMER_CHECKOUT names no checkout")
def test_sqs_consumer_works_with_the_server(tmp_path: Path) -> None:
    checkout, report = Path(SQS_CONSUMER or ""), tmp_path / "report.json"
    # Its scenarios purge the queue one after another, which AWS allows once a minute.
    with serving("--region", "eu-west-1", "--purge-pause", "0") as url:
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        sqs = boto3.client("sqs", endpoint_url=url, region_name="eu-west-1", **keys)
        attributes = {"VisibilityTimeout": "30"}
        sqs.create_queue(QueueName="sqs-consumer-data", Attributes=attributes)
        subprocess.run(
            [
                *("node", "node_modules/.bin/cucumber-js", "--config", "test/config/cucumber.mjs"),
                *("--format", f"json:{report}"),
            ],
            check=False,  # a failed scenario is in the report
            cwd=checkout,
        )
    scenarios = {
        scenario["name"]: {step["result"]["status"] for step in scenario["steps"]}
        for feature in json.loads(report.read_text())
        for scenario in feature["elements"]
    }
    assert scenarios
    assert {name: seen for name, seen in scenarios.items() if seen != {"passed"}} == {}
