"""The first inputs of each target: valid ones, from which the fuzzer starts."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from relay.gateway.webhooks.presets import PRESETS
from relay.model.origin import Origin
from tests.fuzz.input import joined

SAMPLES = Path(__file__).parents[1] / "envelope" / "samples"
RECORDINGS = Path(__file__).parents[1] / "recordings"

_EVENT = b'{"name":"order/paid","id":"a","data":{"n":1},"ts":1700000000000}'
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_ORIGIN = Origin(
    id="a",
    pending=(0, 2),
    hops=2,
    sent_at=1_700_000_000.5,
    source="orders",
    code="refused_by_destination",
    reason="400",
    encoding="gzip+base64",
    task=("nightly", "2026-01-01T00:00:00Z"),
).pack()
_ATTRIBUTES = b'"attributes":{"relay-origin":{"type":"String","text":"{}"}}'
_MESSAGE = {
    "MessageId": "m",
    "ReceiptHandle": "h",
    "Body": "{}",
    "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
    "MessageAttributes": {"key": {"DataType": "String", "StringValue": "v"}},
}


def _choice(number: int) -> bytes:
    """The part that `Input.number` reads as this number."""
    return bytes([number])


def _envelopes() -> Iterator[bytes]:
    for path in sorted(SAMPLES.rglob("*.json")):
        yield joined(_choice(0), path.read_bytes(), b"", "key", "42")
    yield joined(_choice(0), b"[" + _EVENT + b"," + _EVENT + b"]", b"", "relay-origin", _ORIGIN)
    yield joined(_choice(0), b"", b"nightly")


def _webhooks() -> Iterator[bytes]:
    """Two of every known sender: a JSON body and a form."""
    form = ("content-type", "application/x-www-form-urlencoded")
    for number, (name, source) in enumerate(PRESETS.items()):
        url = f"https://example.com/webhooks/{name}?bodySHA256=00"
        signature = f"{source.signature.label}=00,t=1700000000"
        times = ("x-slack-request-timestamp", "1700000000", "webhook-timestamp", "1700000000")
        signed = (source.signature.header, signature, *times, "webhook-id", "msg_1")
        yield joined(_choice(number), b'{"type":"a","id":"b","action":"c"}', url, *signed)
        yield joined(_choice(number), b"payload=%7B%22type%22%3A1%7D&A=b&A=c", url, *signed, *form)


def _gateway_requests() -> Iterator[bytes]:
    seed = ("x-inngest-event-id-seed", "1780000000000,AAECAwQFBgcICQ==")
    more = ("x-inngest-env", "branch-7", "traceparent", _TRACE, "content-encoding", "identity")
    yield joined(_EVENT, "k", _choice(0), *seed, *more)
    yield joined(b"[" + _EVENT + b',{"name":"a/b"}]', "k", _choice(3), *seed)
    yield joined(b"[]", "k", _choice(1), "content-length", "2")
    yield joined(b'{"name":"inngest/a"}', "k", _choice(0), "x-inngest-env", "\x00")
    yield joined(b"", "", _choice(0), "content-encoding", "gzip")


def _recorded(kind: str) -> Iterator[bytes]:
    """The distinct answers of a recorded server, as the parts status, and body."""
    seen = set()
    for path in sorted(RECORDINGS.glob(f"{kind}*.jsonl")):
        for line in path.read_text().strip().split("\n"):
            response = json.loads(line).get("response") or {}
            body = response.get("body")
            text = body if isinstance(body, str) else json.dumps(body)
            if len(text) <= 1_000:
                seen.add(text)
    yield from (text.encode() for text in sorted(seen))


def _sqs() -> Iterator[bytes]:
    attributes = {"QueueArn": "arn", "VisibilityTimeout": "30", "MessageRetentionPeriod": "60"}
    success = [{"Id": "0", "MessageId": "m"}, {"Id": "1", "MessageId": "n"}]
    failure = [{"Id": "0", "Code": "InternalError", "SenderFault": False, "Message": "no"}]
    for answer in (
        {"Attributes": attributes},
        {"Messages": [_MESSAGE]},
        {"Successful": success},
        {"Failed": failure},
        {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"},
    ):
        yield joined(_choice(0), json.dumps(answer))


def _ledger() -> Iterator[bytes]:
    item = {"key": {"S": "a"}, "at": {"N": "1"}, "expires": {"N": "9"}, "detail": {"S": "x"}}
    for answer in (
        {"Responses": {"ledger": [item]}, "UnprocessedKeys": {}},
        {"UnprocessedItems": {"ledger": [{"PutRequest": {"Item": item}}]}},
    ):
        yield joined(_choice(0), json.dumps(answer))


_REFERENCE = "01M8NY0AAMK38GQM6KRZ2K7000"
_DELIVERED = {
    "timestamp": "2026-11-30T10:00:00.000Z",
    "outcome": "delivered",
    "message_id": "m",
    "event_id": "a",
    "event_name": "a/b",
    "reference": _REFERENCE,
}


def _audited_lines() -> Iterator[bytes]:
    """Lines of the log: one event, a duplicate, several events of a message."""
    several = [{"id": "a", "name": "a/b", "reference": _REFERENCE}, {"index": 1}]
    for more in ({}, {"duplicate": True}, {"events": several}, {"reference": "arn:x"}):
        yield json.dumps(_DELIVERED | more).encode()


def _audited_answers() -> Iterator[bytes]:
    app, function = {"id": "media"}, {"id": "f", "name": "f"}
    triggers = [{"type": "EVENT", "value": "a/b"}, {"type": "CRON", "value": "* * * * *"}]
    cancelled = {"cancellations": [{"event": "a/stop"}]}
    event = {"internal_id": _REFERENCE, "id": "a", "name": "a/b", "data": {"n": 1}}
    event |= {"received_at": "2026-11-30T10:00:00Z"}
    lists = [
        [app],
        [{"app": app, "id": "f", "triggers": triggers, "configuration": cancelled}],
        [event],
        [{"id": "r", "app": app, "function": function, "status": "FAILED"}],
    ]
    found = [
        {"data": one, "metadata": {}, "page": {"cursor": "c", "hasMore": True}} for one in lists
    ]
    for status in (0, 3):
        yield joined(_choice(status), *map(json.dumps, [*found, {"data": event, "metadata": {}}]))


def _scanned() -> Iterator[bytes]:
    """Two pages of a ledger's scan."""
    item = {"key": {"S": "delivered#a"}, "at": {"N": "5"}, "detail": {"S": _REFERENCE}}
    first = {"Items": [item], "LastEvaluatedKey": {"key": {"S": "delivered#a"}}}
    yield json.dumps(first).encode() + b"\n" + json.dumps({"Items": [item, {}]}).encode()


def _destinations() -> Iterator[bytes]:
    for starter, kind in ((0, "prefect"), (1, "argo")):
        for text in _recorded(kind):
            for status in (0, 1, 5, 9):
                yield joined(_choice(starter), _choice(status), b"5", text)
    yield joined(_choice(2), _choice(0), b"", b"ok")
    yield joined(_choice(3), _choice(9))


SEEDS: Mapping[str, Sequence[bytes]] = {
    "envelope": tuple(_envelopes()),
    "webhook": tuple(_webhooks()),
    "gateway_request": tuple(_gateway_requests()),
    "audit_log": tuple(_audited_lines()),
    "audit_answers": tuple(_audited_answers()),
    "audit_ledger": tuple(_scanned()),
    "audit_state": (
        joined(_choice(5), b"SQLite", b"true"),
        joined(_choice(0), b"n", b'{"a":1}'),
        joined(_choice(2), b"f1e9", b"[]"),
    ),
    "origin": (_ORIGIN.encode(), b'{"v":1,"id":"a"}'),
    "encoded_body": (
        joined(_choice(0), base64.b64encode(_EVENT)),
        joined(_choice(1), base64.b64encode(gzip.compress(_EVENT, mtime=0))),
    ),
    "push_request": (
        joined(
            _EVENT,
            "/",
            "X-Aws-Sqsd-Msgid",
            "m",
            "X-Aws-Sqsd-Queue",
            "orders",
            "X-Aws-Sqsd-Receive-Count",
            "1",
            "X-Aws-Sqsd-Sent-At",
            "2026-01-01T00:00:00.000Z",
            "X-Aws-Sqsd-Attr-key",
            "v",
        ),
        joined(b"", "/nightly", "X-Aws-Sqsd-Msgid", "m", "X-Aws-Sqsd-Taskname", "nightly"),
    ),
    "settings": (
        joined(b"RELAY_PORT=8000\n", "INNGEST_URL", "http://127.0.0.1:8288", "HOLD", "780"),
        joined(b"", "DESTINATION", "webhook", "WEBHOOK_URL", "https://example.com/hook"),
        joined(b"", "ROUTES", "order/*=inngest", "MAX_IN_FLIGHT", "10"),
    ),
    "queue_reference": (
        b"https://sqs.eu-west-1.amazonaws.com/111122223333/orders",
        b"arn:aws:sqs:eu-west-1:111122223333:orders.fifo",
        b"orders",
    ),
    "retry_after_header": (b"120", b"1.5", b"Wed, 21 Oct 2026 07:28:00 GMT"),
    "trace_context": (
        joined(_TRACE, b'{"a":1}'),
        joined("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"),
    ),
    "http_response": (
        joined(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
        joined(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{", b"}\r\n0\r\n\r\n"),
        joined(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 X\r\n\r\n"),
    ),
    "http_request": (
        joined(b"GET /ready HTTP/1.1\r\nhost: a\r\n\r\nGET /health HTTP/1.1\r\nhost: a\r\n\r\n"),
        joined(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n{", b"  }"),
        joined(b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n0\r\n\r\n"),
    ),
    "snapshot": (
        b'{"message_id":"m","queue":"dead","body":"{}","receive_count":1}\n{"end":1}',
        b'{"message_id":"m","queue":"dead","body_base64":"AA==",%b}' % _ATTRIBUTES,
    ),
    "sqs_answer": tuple(_sqs()),
    "ledger_answer": tuple(_ledger()),
    "inngest_answer": tuple(
        joined(_choice(status), _choice(count), b"", text)
        for text in _recorded("inngest")
        for status, count in ((0, 0), (0, 1), (5, 1))
    ),
    "inngest_read_back": tuple(joined(_choice(0), text) for text in _recorded("inngest")),
    "destination_answer": tuple(_destinations()),
    "temporal_error": (
        joined(_choice(0), "Blob data size exceeds limit."),
        joined(_choice(1), "grpc: received message larger than max"),
    ),
}
