"""What IAM would have to allow for a request to AWS: the action, its resource, its context."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

ACCOUNT = "123456789012"

_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_KEY_ID = 36
"""The simulated KMS puts the key's id in front of what it encrypted."""


@dataclass(frozen=True, order=True)
class Call:
    """One permission that a request needs. `via` is the service that uses a KMS key for it."""

    action: str
    resource: str
    via: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.action, self.resource, self.via, self.namespace)))

    @property
    def context(self) -> dict[str, str]:
        """The condition keys that IAM would know."""
        found = {"kms:ViaService": self.via, "cloudwatch:namespace": self.namespace}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Request:
    """A signed request: who sent it to which service, and its content."""

    identity: str
    region: str
    service: str
    action: str
    content: Mapping[str, Any]
    body: bytes

    @classmethod
    def read(cls, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Request:
        signed = _SCOPE.search(headers["Authorization"])
        assert signed, "a request without a signature"
        identity, region, service = signed.groups()
        if service == "s3":
            bucket, _, key = path.strip("/").partition("/")
            assert key, f"{method} {path} on S3"
            action = {"GET": "GetObject", "PUT": "PutObject"}[method]
            return cls(identity, region, service, action, {"Bucket": bucket, "Key": key}, body)
        action, content = _json_action(headers, body) or _other_action(path, body)
        return cls(identity, region, service, action, content, body)


def _json_action(headers: Mapping[str, str], body: bytes) -> tuple[str, Mapping[str, Any]] | None:
    target = headers.get("X-Amz-Target")
    return (target.rpartition(".")[2], json.loads(body)) if target else None


def _other_action(path: str, body: bytes) -> tuple[str, Mapping[str, Any]]:
    """The action of a request in the Query protocol, or in the one with the action in its path."""
    if "/operation/" in path:
        return path.rpartition("/")[2], {}
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return form["Action"], form


class Permissions:
    """The permissions that requests need. Remembers move tasks, whose handles say nothing."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._tasks: dict[str, str] = {}

    def answered(self, request: Request, answer: bytes) -> None:
        """Learn from the answer to a request."""
        if request.action == "StartMessageMoveTask":
            self._tasks[json.loads(answer)["TaskHandle"]] = request.content["SourceArn"]

    def of(self, request: Request) -> Iterator[Call]:
        """What the caller must be allowed to do."""
        read = {
            "sqs": self._sqs,
            "dynamodb": self._dynamodb,
            "secretsmanager": self._secret,
            "kms": self._kms,
            "s3": self._s3,
        }
        if request.service in read:
            yield from read[request.service](request)
        else:
            yield _plain(request)

    def _sqs(self, request: Request) -> Iterator[Call]:
        # The batch actions have no permissions of their own.
        action = request.action.removesuffix("Batch")
        given = request.content
        if action in MOVES:
            queue = given.get("SourceArn") or self._tasks[given["TaskHandle"]]
            # The developer guide: what SQS does for the task, the caller must be allowed to do.
            for needed in (action, "ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
                yield from self._queue_calls(needed, queue, request.region)
            if "DestinationArn" in given:
                yield from self._queue_calls("SendMessage", given["DestinationArn"], request.region)
            return
        name = given.get("QueueName") or given["QueueUrl"].rpartition("/")[2]
        yield from self._queue_calls(
            action, f"arn:aws:sqs:{request.region}:{ACCOUNT}:{name}", request.region
        )

    def _queue_calls(self, action: str, queue: str, region: str) -> Iterator[Call]:
        yield Call(f"sqs:{action}", queue)
        for key_action in KEY_USES_OF_SQS.get(action, ()):
            yield Call(f"kms:{key_action}", self._key, f"sqs.{region}.amazonaws.com")

    def _dynamodb(self, request: Request) -> Iterator[Call]:
        tables = request.content.get("RequestItems") or [request.content["TableName"]]
        for table in tables:
            name = table.rpartition("/")[2]
            arn = f"arn:aws:dynamodb:{request.region}:{ACCOUNT}:table/{name}"
            yield Call(f"dynamodb:{request.action}", arn)
            if request.action.startswith("Batch"):
                # DynamoDB decrypts the table's key on behalf of the caller.
                yield Call("kms:Decrypt", self._key, f"dynamodb.{request.region}.amazonaws.com")

    def _secret(self, request: Request) -> Iterator[Call]:
        yield Call(f"secretsmanager:{request.action}", request.content["SecretId"])
        yield Call("kms:Decrypt", self._key, f"secretsmanager.{request.region}.amazonaws.com")

    def _s3(self, request: Request) -> Iterator[Call]:
        bucket = f"arn:aws:s3:::{request.content['Bucket']}"
        yield Call(f"s3:{request.action}", f"{bucket}/{request.content['Key']}")
        if request.action == "GetObject":
            # Without it S3 does not say that an object does not exist.
            yield Call("s3:ListBucket", bucket)

    def _kms(self, request: Request) -> Iterator[Call]:
        key = request.content.get("KeyId")
        if key is None:
            sealed = base64.b64decode(request.content["CiphertextBlob"])
            key = sealed[:_KEY_ID].decode()
        arn = key if key.startswith("arn:") else f"{self._key.rpartition('/')[0]}/{key}"
        yield Call(f"kms:{request.action}", arn)


MOVES = ("StartMessageMoveTask", "ListMessageMoveTasks", "CancelMessageMoveTask")

KEY_USES_OF_SQS = {
    "ReceiveMessage": ("Decrypt",),
    # To check the new data key, SQS decrypts it.
    "SendMessage": ("GenerateDataKey", "Decrypt"),
}
"""What SQS does with the key of an encrypted queue on behalf of the caller."""


def _plain(request: Request) -> Call:
    """A request whose only permission is its action, on the resource that it names."""
    given = request.content
    action = f"{PREFIXES.get(request.service, request.service)}:{request.action}"
    if request.service == "states":
        return Call(action, given.get("stateMachineArn") or given["executionArn"])
    if request.service == "logs":
        group = f"arn:aws:logs:{request.region}:{ACCOUNT}:log-group:{given['logGroupName']}"
        return Call(action, f"{group}:*")
    if request.service == "ssm":
        name = given["Name"].lstrip("/")
        return Call(action, f"arn:aws:ssm:{request.region}:{ACCOUNT}:parameter/{name}")
    if request.action == "PutMetricData":
        return Call(action, "*", namespace="Relay" if b"Relay" in request.body else "?")
    assert request.service in ("monitoring", "sts"), request
    return Call(action, "*")


PREFIXES = {"monitoring": "cloudwatch"}
"""IAM's prefixes where they are not the service's name in a signature."""
