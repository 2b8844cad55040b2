"""The Query protocol, against botocore's own serializer and parser of it, and as a plain form."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from botocore.parsers import create_parser  # type: ignore[import-untyped] # it ships no types
from botocore.serialize import create_serializer  # type: ignore[import-untyped] # the same
from hypothesis import given
from hypothesis import strategies as st

from relay.local.sqs import Fault
from relay.local.sqs.query_protocol import (
    encode_answer,
    query_model,
    read_action,
    read_form,
    read_parameters,
)

from .conftest import Sqs

XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r&<>\"'"),
    min_size=1,
    max_size=20,
)
VALUES = st.fixed_dictionaries({"DataType": st.just("String"), "StringValue": XML_TEXT})
ENTRIES = st.fixed_dictionaries(
    {"Id": XML_TEXT, "MessageBody": XML_TEXT},
    optional={
        "DelaySeconds": st.integers(0, 900),
        "MessageAttributes": st.dictionaries(XML_TEXT, VALUES, min_size=1, max_size=12),
        "MessageGroupId": XML_TEXT,
    },
)
MESSAGES = st.fixed_dictionaries(
    {"MessageId": XML_TEXT, "Body": XML_TEXT},
    optional={
        "Attributes": st.dictionaries(st.just("SenderId"), XML_TEXT, min_size=1),
        "MessageAttributes": st.dictionaries(XML_TEXT, VALUES, min_size=1, max_size=3),
    },
)


def as_form(action: str, parameters: dict[str, Any]) -> bytes:
    """The form that botocore sends."""
    operation = query_model().operation_model(action)
    request = create_serializer("query").serialize_to_request(parameters, operation)
    return urlencode(request["body"]).encode()


def parsed(action: str, content: bytes, status: int = 200) -> dict[str, Any]:
    """What botocore reads in a response."""
    shape = query_model().operation_model(action).output_shape
    response = {"status_code": status, "headers": {}, "body": content}
    found: dict[str, Any] = create_parser("query").parse(response, shape)
    del found["ResponseMetadata"]
    return found


@given(st.lists(ENTRIES, min_size=1, max_size=11))
def test_a_request_is_read_as_botocore_writes_it(entries: list[dict[str, Any]]) -> None:
    parameters = {"QueueUrl": "http://localhost/1/q", "Entries": entries}
    form = read_form(b"", as_form("SendMessageBatch", parameters))
    assert read_action(form, "/") == "SendMessageBatch"
    assert read_parameters("SendMessageBatch", form, "/") == parameters


@given(st.lists(MESSAGES, min_size=1, max_size=3))
def test_a_response_is_written_as_botocore_reads_it(messages: list[dict[str, Any]]) -> None:
    content = encode_answer("ReceiveMessage", {"Messages": messages}, "id")
    assert parsed("ReceiveMessage", content) == {"Messages": messages}


@pytest.mark.parametrize("action", query_model().operation_names)
def test_the_response_of_every_action_can_be_empty(action: str) -> None:
    assert parsed(action, encode_answer(action, None, "id")) == {}


async def test_a_request_to_the_url_of_a_queue_needs_no_queue_url(sqs: Sqs) -> None:
    queue = await sqs.queue()
    path = "/000000000000/q"
    sent = await sqs.http.post(path, data={"Action": "SendMessage", "MessageBody": "a&b"})
    assert sent.headers["content-type"] == "text/xml"
    [stored] = queue.messages()
    assert stored.body == "a&b"
    assert parsed("SendMessage", sent.content)["MessageId"] == stored.message_id
    got = await sqs.http.get(path, params={"Action": "ReceiveMessage", "AttributeName.1": "All"})
    [message] = parsed("ReceiveMessage", got.content)["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


@pytest.mark.parametrize(
    ("path", "form", "status", "content"),
    [
        ("/", {}, 404, "<UnknownOperationException/>"),
        ("/", {"Action": "Nonsense"}, 400, "<Code>InvalidAction</Code>"),
        ("/1/q", {"Action": "CreateQueue", "QueueName": "x"}, 400, "<Code>InvalidAction</Code>"),
        ("/1/q", {"Action": "SendMessage"}, 400, "<Code>MissingParameter</Code>"),
        ("/1/no", {"Action": "PurgeQueue"}, 400, "does not exist for this wsdl version.</Message>"),
        (
            "/1/q",
            {"Action": "ReceiveMessage", "WaitTimeSeconds": "soon"},
            400,
            "<Code>InvalidParameterValue</Code>",
        ),
    ],
)
async def test_a_malformed_request_is_refused(
    sqs: Sqs, path: str, form: dict[str, str], status: int, content: str
) -> None:
    await sqs.queue()
    answer = await sqs.http.post(path, data=form)
    assert answer.status_code == status
    assert content in answer.text


@given(st.dictionaries(st.text("QueueUrlAttribMsgN.123", max_size=24), st.text(max_size=3)))
def test_any_form_can_be_read(form: dict[str, str]) -> None:
    read_parameters("SendMessage", form, "/1/q")


async def test_faults_apply_to_both_protocols(sqs: Sqs) -> None:
    queue = await sqs.queue()
    sqs.server.faults.add(Fault(action="SendMessage", queue="q", error="RequestThrottled"))
    form = {"Action": "SendMessage", "MessageBody": "x"}
    refused = await sqs.http.post("/000000000000/q", data=form)
    assert (refused.status_code, queue.messages()) == (403, ())
    assert "<Type>Sender</Type><Code>RequestThrottled</Code>" in refused.text
    sqs.server.faults.add(Fault(action="SendMessage", drop=True))
    with pytest.raises(httpx.TransportError):
        await sqs.http.post("/000000000000/q", data=form)
    assert len(queue.messages()) == 1
