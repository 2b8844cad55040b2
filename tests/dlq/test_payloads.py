"""Dead letters whose events are in S3, as the extended client leaves them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest

from relay.delivery.payloads import POINTER_CLASSES
from tests.dlq.conftest import QUICK, Ended, Relay
from tests.dlq.queues import origin_attribute

REGION = "eu-west-3"
"""Used by this file only: moto's state outlives its servers."""

BUCKET = "dead-letters-payloads"
ALLOWED = {"RELAY_PAYLOAD_BUCKETS": BUCKET}
PAYLOAD = json.dumps({"name": "shop/film", "id": "film-1", "data": {"cut": 7}})
NAMELESS = json.dumps({"name": "shop/film", "data": {"cut": 8}})


@dataclass
class Aws:
    """SQS and S3 of moto's, with `main` and `dead`."""

    sqs: Any
    s3: Any

    def url(self, name: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def send(self, key: str, payload: str | None, *, base_id: str | None = None) -> str:
        """A dead letter that points to an object, which is there if it has a payload."""
        if payload is not None:
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=payload.encode())
        body = json.dumps([POINTER_CLASSES[0], {"s3BucketName": BUCKET, "s3Key": key}])
        size = {"DataType": "Number", "StringValue": "300000"}
        attributes = {"ExtendedPayloadSize": size}
        if base_id is not None:
            [(name, origin)] = origin_attribute(base_id).items()
            attributes[name] = {"DataType": origin.data_type, "StringValue": str(origin.value)}
        self.sqs.send_message(
            QueueUrl=self.url("dead"), MessageBody=body, MessageAttributes=attributes
        )
        return body

    def lose_bucket(self) -> None:
        for item in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            self.s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        self.s3.delete_bucket(Bucket=BUCKET)

    def end(self) -> None:
        for name in ("main", "dead"):
            self.sqs.delete_queue(QueueUrl=self.url(name))
        if BUCKET in {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}:
            self.lose_bucket()

    def received(self, name: str) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=self.url(name), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return list(answer.get("Messages", []))


@pytest.fixture
def aws(moto: str, environ: dict[str, str]) -> Iterator[Aws]:
    environ |= {"AWS_ENDPOINT_URL": moto, "AWS_REGION": REGION, "RELAY_QUEUE_URL": "main"}
    given = {
        "endpoint_url": moto,
        "region_name": REGION,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    sqs, s3 = boto3.client("sqs", **given), boto3.client("s3", **given)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": attributes["Attributes"]["QueueArn"], "maxReceiveCount": 1}
    sqs.create_queue(QueueName="main", Attributes={"RedrivePolicy": json.dumps(policy)})
    aws = Aws(sqs, s3)
    yield aws
    aws.end()


async def pulled(relay: Relay) -> None:
    ended = await relay("dlq", "pull", "night.jsonl", *QUICK)
    assert ended.code == 0, ended


async def plan(relay: Relay, *words: str, **variables: str) -> tuple[dict[str, Any], Ended]:
    ended = await relay("dlq", "redrive", "--json", *words, *QUICK, **variables)
    assert ended.code == 0, ended
    [group] = json.loads(ended.out)["groups"]
    return group, ended


async def test_events_in_an_allowed_bucket_are_read(relay: Relay, aws: Aws) -> None:
    aws.send("film", PAYLOAD, base_id="base")
    await pulled(relay)
    listed = await relay("dlq", "list", "night.jsonl", "--name", "shop/*", **ALLOWED)
    assert "shop/film" in listed.out
    stats = json.loads((await relay("dlq", "stats", "night.jsonl", "--json", **ALLOWED)).out)
    assert (stats["events"], stats["groups"][0]["name"]) == (1, "shop/film")
    shown = await relay("dlq", "show", "film-1", "night.jsonl", "--json", **ALLOWED)
    described = json.loads(shown.out)
    assert described["events"][0]["data"] == {"cut": 7}
    assert (described["payload"], described["would_be_rejected"]) == (f"s3://{BUCKET}/film", None)


async def test_an_unread_payload_is_reported_and_not_called_rejected(
    relay: Relay, aws: Aws
) -> None:
    aws.send("film", PAYLOAD, base_id="base")
    await pulled(relay)
    listed = await relay("dlq", "list", "night.jsonl", "--name", "shop/*")
    assert listed.out == ""
    assert "the events of 1 messages are in S3 and were not read" in listed.err
    assert "RELAY_PAYLOAD_BUCKETS" in listed.err
    shown = await relay("dlq", "show", "base", "night.jsonl")
    assert (shown.code, "would be rejected" in shown.out) == (0, False)
    group, _ = await plan(relay)
    assert group["predictions"] == {"unknown": 1}


async def test_a_pointer_is_redriven_unchanged_with_the_id_of_its_event(
    relay: Relay, aws: Aws
) -> None:
    body = aws.send("film", NAMELESS)
    group, _ = await plan(relay, **ALLOWED)
    assert (group["name"], group["selected"]) == ("shop/film", 1)
    ended = await relay("dlq", "redrive", "--yes", *QUICK, **ALLOWED)
    assert ended.code == 0, ended
    [message] = aws.received("main")
    assert message["Body"] == body
    assert message["MessageAttributes"]["ExtendedPayloadSize"]["StringValue"] == "300000"
    assert aws.s3.get_object(Bucket=BUCKET, Key="film")["Body"].read().decode() == NAMELESS


@pytest.mark.parametrize("command", ["redrive", "restore"])
async def test_an_unread_pointer_without_a_recorded_id_is_skipped(
    relay: Relay, aws: Aws, command: str
) -> None:
    """Its ids derive from the object, which this machine may not read."""
    aws.send("film", NAMELESS)
    await pulled(relay)
    words = (command, "night.jsonl") if command == "restore" else (command, *QUICK)
    ended = await relay("dlq", *words, "--yes")
    assert (ended.code, json.loads(ended.out)["skipped"]) == (3, {"payload_not_read": 1}), ended
    assert "RELAY_PAYLOAD_BUCKETS" in ended.err


async def test_an_edit_never_changes_a_pointer(relay: Relay, aws: Aws) -> None:
    aws.send("film", '{"name":"","data":{}}', base_id="base")
    group, ended = await plan(relay, "--edit", "{name: 'shop/x'}", **ALLOWED)
    assert group["skipped"] == {"edit_failed": 1}
    assert "in S3" in ended.out


async def test_a_rerun_of_a_pointer_runs(relay: Relay, aws: Aws) -> None:
    aws.send("film", PAYLOAD, base_id="base")
    group, _ = await plan(relay, "--rerun", **ALLOWED)
    assert group["predictions"] == {"runs": 1}


async def test_a_missing_object_is_reported(relay: Relay, aws: Aws) -> None:
    aws.send("film", None, base_id="base")
    await pulled(relay)
    shown = await relay("dlq", "show", "base", "night.jsonl", **ALLOWED)
    assert "would be rejected: payload_missing" in shown.out, shown
    group, _ = await plan(relay, **ALLOWED)
    assert (group["skipped"], group["selected"]) == ({"would_fail": 1}, 0)


async def test_a_missing_bucket_leaves_payloads_unread(relay: Relay, aws: Aws) -> None:
    aws.send("film", PAYLOAD, base_id="base")
    aws.lose_bucket()
    group, ended = await plan(relay, **ALLOWED)
    assert group["predictions"] == {"unknown": 1}
    assert "were not read" in ended.err
    assert "s3:GetObject" in ended.err
