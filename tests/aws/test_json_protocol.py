"""The JSON client: faults, credentials, signatures and malformed responses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]  # ships no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # the same
from botocore.credentials import Credentials  # type: ignore[import-untyped]  # the same

from relay.aws.errors import AwsError, error_from_response
from relay.aws.json_protocol import open_json_client
from relay.aws.references import arn_of
from relay.aws.session import Session, open_session
from relay.aws.signing import Signer
from relay.aws.sqs import Queue, attributes_md5
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.local.sqs.faults import Fault
from relay.local.sqs.server import SqsServer
from relay.model.message import Attribute
from tests.aws.fixed_response import answering


@pytest.fixture
async def server() -> AsyncIterator[SqsServer]:
    async with SqsServer() as server:
        yield server


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    async with open_session() as session:
        yield session


@pytest.fixture
async def queue(server: SqsServer, session: Session) -> AsyncIterator[Queue]:
    async with open_json_client(session, server.url, "us-east-1") as client:
        url = (await client.call("CreateQueue", {"QueueName": "main"}, "main"))["QueueUrl"]
        yield Queue(client, url, arn_of(url, "us-east-1"))


@pytest.mark.parametrize(
    ("fault", "kind", "named"),
    [
        (Fault(error="RequestThrottled", status=403), "throttled", "throttles"),
        (Fault(error="ThrottlingException", status=400), "throttled", "throttles"),
        (Fault(error="AccessDeniedException", status=400), "denied", "sqs:ReceiveMessage"),
        (Fault(error="InvalidClientTokenId", status=403), "credentials", "accept the credentials"),
        (Fault(error="KmsAccessDenied", status=400), "kms", "kms:Decrypt"),
        (Fault(error="KmsDisabled", status=400), "kms", "kms:Decrypt"),
        (Fault(error="KmsThrottled", status=400), "throttled", "throttles"),
        (Fault(error="QueueDoesNotExist", status=400), "missing", "main"),
        (Fault(error="ExpiredToken", status=403), "expired-credentials", "expired"),
        (Fault(error="InternalError", status=500), "connection", "no valid answer"),
        (Fault(error="SomethingNew", status=503), "connection", "no valid answer"),
        (Fault(error="SomethingNew", status=400), "other", "SomethingNew"),
        (Fault(refuse=True, times=2), "connection", "no valid answer"),
        (Fault(drop=True, times=2), "connection", "no valid answer"),
    ],
)
async def test_every_failure_is_an_aws_error_with_a_kind_and_a_sentence(
    queue: Queue, server: SqsServer, fault: Fault, kind: str, named: str
) -> None:
    server.faults.add(fault)
    with pytest.raises(AwsError, match=named) as caught:
        await queue.receive(wait=0)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than"),
        ("SignatureDoesNotMatch", "Signature not yet current: 20260101T000000Z is still later"),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time"),
    ],
)
def test_a_wrong_clock_is_not_reported_as_a_missing_permission(code: str, detail: str) -> None:
    error = error_from_response(code, detail, 403, "sqs:ReceiveMessage", "main")
    assert error.kind == "misconfigured"
    assert "clock" in str(error)
    assert detail in str(error)
    assert "grant" not in str(error)


async def test_a_refused_connection_is_a_connection_error(session: Session) -> None:
    async with SqsServer() as stopped:
        url = stopped.url
    async with open_json_client(session, url, "us-east-1") as client:
        with pytest.raises(AwsError) as caught:
            await Queue(client, f"{url}/1/main", "arn").receive(wait=0)
    assert caught.value.kind == "connection"


async def test_results_before_a_failed_request_are_kept(queue: Queue, server: SqsServer) -> None:
    server.faults.add(Fault(action="SendMessageBatch", skip=1, error="RequestThrottled"))
    results = await queue.send([Outgoing(body=f"m{i}") for i in range(25)])
    kinds = [type(result) for result in results]
    assert kinds == [Sent] * 10 + [Failed] * 10 + [Sent] * 5
    assert not any(isinstance(result, Failed) and result.permanent for result in results)


async def test_expired_credentials_are_looked_up_again(
    server: SqsServer, session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = old\naws_secret_access_key = s\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    async with open_json_client(session, server.url, "us-east-1") as client:
        await client.call("CreateQueue", {"QueueName": "main"}, "main")
        keys.write_text("[default]\naws_access_key_id = new\naws_secret_access_key = s\n")
        assert (await session.credentials()).access_key == "old"
        server.faults.add(Fault(error="ExpiredToken", status=403))
        with pytest.raises(AwsError):
            await client.call("ListQueues", {}, "main")
        assert (await session.credentials()).access_key == "new"


async def test_missing_credentials_are_reported(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match="no usable AWS credentials") as caught:
        await session.credentials()
    assert caught.value.kind == "credentials"


@pytest.mark.parametrize("token", [None, "a-token"])
def test_the_signature_is_the_same_as_botocores(token: str | None) -> None:
    credentials = Credentials("AKID", "secret", token)
    body = b'{"QueueUrl":"x"}'
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.Send"}
    signed = Signer("sqs", "eu-west-1", "sqs.eu-west-1.amazonaws.com", "/").headers(
        body, headers, credentials, 1_767_225_600.0
    )
    request = AWSRequest(
        "POST", "https://sqs.eu-west-1.amazonaws.com/", headers=dict(headers), data=body
    )
    request.context["timestamp"] = signed["x-amz-date"]
    signer = SigV4Auth(credentials, "sqs", "eu-west-1")
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.headers["X-Amz-Date"] = signed["x-amz-date"]
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert signed["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("status", "body", "kind", "named"),
    [
        (200, b"null", "connection", "no valid answer"),
        (200, b"[]", "connection", "no valid answer"),
        (200, b"", "connection", "no valid answer"),
        (200, b"<html>of a proxy</html>", "connection", "no valid answer"),
        (200, b'{"Messages":', "connection", "no valid answer"),
        (200, b'{"Messages":' * 100_000, "connection", "no valid answer"),
        (503, b"<html>unavailable</html>", "connection", "HTTP 503"),
        (403, b"<html>forbidden</html>", "other", "HTTP 403"),
        (400, b"[]", "other", "HTTP 400"),
    ],
)
async def test_a_response_in_another_format_is_reported_by_its_status(
    session: Session, status: int, body: bytes, kind: str, named: str
) -> None:
    async with (
        answering(status, body) as url,
        open_json_client(session, url, "us-east-1") as client,
    ):
        with pytest.raises(AwsError, match=named) as caught:
            await Queue(client, f"{url}/1/main", "arn").receive(wait=0)
    assert caught.value.kind == kind


async def test_results_that_belong_to_no_entry_are_ignored(
    session: Session,
) -> None:
    body = b'{"Successful":[{"Id":"7"},{"Id":"x"},{}],"Failed":[{"Id":"8"}]}'
    async with answering(200, body) as url, open_json_client(session, url, "us-east-1") as client:
        (result,) = await Queue(client, f"{url}/1/main", "arn").delete(["handle"])
    assert isinstance(result, Failed)
    assert not result.permanent


async def test_a_message_that_cannot_be_read_does_not_affect_others(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    half = {"DataType": "String", "StringValue": "\ud800"}
    odd: list[dict[str, object]] = [
        {"Body": "no id", "ReceiptHandle": "h"},
        {"Body": "no handle", "MessageId": "1"},
        {"MessageId": "2", "ReceiptHandle": "h", "Attributes": {"ApproximateReceiveCount": "x"}},
        {"MessageId": "no body", "ReceiptHandle": "h"},
        {"Body": "half", "MessageId": "3", "ReceiptHandle": "h", "MessageAttributes": {"a": half}},
        {"Body": "whole", "MessageId": "4", "ReceiptHandle": "h"},
    ]
    body = json.dumps({"Messages": odd}).encode()
    async with answering(200, body) as url, open_json_client(session, url, "us-east-1") as client:
        received = await Queue(client, f"{url}/1/main", "arn").receive(wait=0)
    assert [one.message.message_id for one in received] == ["3", "4"]
    assert caplog.text.count("cannot be read") == 4


async def test_a_damaged_message_is_skipped(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.send([Outgoing(body="whole"), Outgoing(body="damaged")])
    call = queue._call

    async def damaging(action: str, **request: object) -> object:
        answer = dict(await call(action, **request))
        for raw in answer.get("Messages", ()):
            if raw["Body"] == "damaged":
                raw["Body"] = "domoged"
        return answer

    monkeypatch.setattr(queue, "_call", damaging)
    received = await queue.receive(wait=0)
    assert [one.message.body for one in received] == [b"whole"]
    assert "damaged in transit" in caplog.text


def test_the_md5_of_attributes_is_the_documented_one() -> None:
    parts = b"\x00\x00\x00\x01a\x00\x00\x00\x06String\x01\x00\x00\x00\x01v"
    expected = hashlib.md5(parts, usedforsecurity=False).hexdigest()
    assert attributes_md5({"a": Attribute("String", "v")}) == expected
