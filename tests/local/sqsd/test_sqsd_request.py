"""The request that an application receives for a message."""

from __future__ import annotations

from typing import Any

import pytest

from relay.local.sqsd.request import Received, RequestForm
from relay.model.message import Attribute

FORM = RequestForm("localhost", "main", "/", "application/json")
TASK = {
    "beanstalk.sqsd.path": Attribute("String", "/tidy"),
    "beanstalk.sqsd.task_name": Attribute("String", "tidy up"),
    "beanstalk.sqsd.scheduled_time": Attribute("String", "2026-01-01 06:30:00 UTC"),
}


def received(**changes: Any) -> Received:
    fields: dict[str, Any] = {
        "body": '{"name":"a/b"}',
        "message_id": "m-1",
        "receipt": "r-1",
        "receive_count": "3",
        "sent_at": 1_767_225_600.9,
        "first_received_at": 1_767_225_661.0,
        "sender_id": "AROA:i-1",
        "attributes": {},
    }
    return Received(**(fields | changes))


def parsed(request: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    return line, {k: v for k, _, v in (header.partition(": ") for header in lines)}, body


def test_a_message_is_posted_with_every_header_of_the_daemon() -> None:
    line, headers, body = parsed(FORM.render(received()))
    assert line == "POST / HTTP/1.1"
    assert body == b'{"name":"a/b"}'
    assert headers == {
        "Host": "localhost",
        "User-Agent": "aws-sqsd/3.0.4",
        "Content-Type": "application/json",
        "Content-Length": "14",
        "X-Aws-Sqsd-Msgid": "m-1",
        "X-Aws-Sqsd-Receive-Count": "3",
        "X-Aws-Sqsd-First-Received-At": "2026-01-01T00:01:01Z",
        "X-Aws-Sqsd-Sent-At": "2026-01-01T00:00:00Z",
        "X-Aws-Sqsd-Queue": "main",
        "X-Aws-Sqsd-Path": "",
        "X-Aws-Sqsd-Sender-Id": "AROA:i-1",
    }


def test_string_and_number_attributes_become_headers_and_binary_ones_are_lost() -> None:
    attributes = {
        "relay-origin": Attribute("String", "{}"),
        "TraceId": Attribute("String.uuid", "x y"),
        "count": Attribute("Number.int", "1.10"),
        "raw": Attribute("Binary", b"\x00"),
        "raw2": Attribute("Binary.png", b"\x00"),
    }
    _, headers, _ = parsed(FORM.render(received(attributes=attributes)))
    found = {k: v for k, v in headers.items() if k.startswith("X-Aws-Sqsd-Attr-")}
    assert found == {
        "X-Aws-Sqsd-Attr-Relay-Origin": "{}",
        "X-Aws-Sqsd-Attr-Traceid": "x y",
        "X-Aws-Sqsd-Attr-Count": "1.10",
    }


def test_a_value_outside_latin_1_is_sent_as_raw_utf_8() -> None:
    request = FORM.render(received(attributes={"who": Attribute("String", "Zoë 山")}))
    assert "X-Aws-Sqsd-Attr-Who: Zoë 山\r\n".encode() in request


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_value_that_cannot_be_a_header_is_dropped(value: str) -> None:
    attributes = {"bad": Attribute("String", value), "good": Attribute("String", "1")}
    request = FORM.render(received(attributes=attributes))
    assert b"Attr-Bad" not in request
    assert b"X-Evil" not in request
    assert b"X-Aws-Sqsd-Attr-Good: 1\r\n" in request


def test_a_periodic_task_is_posted_to_its_path_with_an_empty_body() -> None:
    line, headers, body = parsed(FORM.render(received(attributes=TASK)))
    assert line == "POST /tidy HTTP/1.1"
    assert (headers["Content-Length"], body) == ("0", b"")
    assert headers["X-Aws-Sqsd-Path"] == "/tidy"
    assert headers["X-Aws-Sqsd-Taskname"] == "tidy up"
    assert headers["X-Aws-Sqsd-Scheduled-At"] == "2026-01-01T06:30:00Z"
    assert not [name for name in headers if "Attr" in name]


def test_a_path_alone_does_not_make_a_periodic_task() -> None:
    attributes = {"beanstalk.sqsd.path": Attribute("String", "/admin")}
    line, headers, body = parsed(FORM.render(received(attributes=attributes)))
    assert (line, headers["X-Aws-Sqsd-Path"]) == ("POST / HTTP/1.1", "/admin")
    assert body == b'{"name":"a/b"}'


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("admin", "/admin"),
        ("/a b", "/a%20b"),
        ("/a?b=c&d=%20", "/a?b=c&d=%20"),
        ("/x HTTP/1.1\r\nX-Evil: 1", "/x%20HTTP/1.1%0D%0AX-Evil:%201"),
    ],
)
def test_a_task_may_have_any_path_but_cannot_break_the_request_line(path: str, target: str) -> None:
    attributes = TASK | {"beanstalk.sqsd.path": Attribute("String", path)}
    line, headers, _ = parsed(FORM.render(received(attributes=attributes)))
    assert line == f"POST {target} HTTP/1.1"
    assert "X-Evil" not in headers


def test_an_invalid_scheduled_time_is_passed_on_unchanged() -> None:
    attributes = TASK | {"beanstalk.sqsd.scheduled_time": Attribute("String", "soon")}
    _, headers, _ = parsed(FORM.render(received(attributes=attributes)))
    assert headers["X-Aws-Sqsd-Scheduled-At"] == "soon"
