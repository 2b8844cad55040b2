"""Renders a message as the daemon's HTTP request, and defines which headers are lost."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from relay.model.message import Attribute

USER_AGENT = "aws-sqsd/3.0.4"
RESERVED = "beanstalk.sqsd."
PATH, TASK_NAME, SCHEDULED_TIME = (
    RESERVED + name for name in ("path", "task_name", "scheduled_time")
)
TASK_BODY = "elasticbeanstalk scheduled job"
"""The body of a periodic task's message in 2.x; the application never sees it."""

_NO_HEADER = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A received message. Times are seconds since the epoch."""

    body: str
    message_id: str
    receipt: str
    receive_count: str
    sent_at: float
    first_received_at: float
    sender_id: str
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class RequestForm:
    """What all requests of a daemon share: the target's host, the queue's name, path, MIME type."""

    host: str
    queue: str
    path: str
    mime_type: str

    def render(self, message: Received) -> bytes:
        """The whole request as bytes.

        A message with `beanstalk.sqsd.scheduled_time` is a periodic task: it is posted to the path
        in `beanstalk.sqsd.path`, with an empty body and two more headers. `X-Aws-Sqsd-Path` is on
        every message, empty without that attribute (2.x). Only String and Number attributes, with
        custom types too, become headers.

        Values are sent as raw UTF-8: 2.x does not encode them. A value with a line break or a NUL
        cannot be a header, so that header is dropped; whitespace that an HTTP server strips from
        the ends of a value is lost as well. In names, each part between hyphens is capitalised, as
        both Ruby's and Go's clients do.
        """
        path, scheduled = _reserved(message, PATH), _reserved(message, SCHEDULED_TIME)
        body = b"" if scheduled else message.body.encode("utf-8", "surrogatepass")
        headers = [
            ("Host", self.host),
            ("User-Agent", USER_AGENT),
            ("Content-Type", self.mime_type),
            ("Content-Length", str(len(body))),
            ("X-Aws-Sqsd-Msgid", message.message_id),
            ("X-Aws-Sqsd-Receive-Count", message.receive_count),
            ("X-Aws-Sqsd-First-Received-At", iso(message.first_received_at)),
            ("X-Aws-Sqsd-Sent-At", iso(message.sent_at)),
            ("X-Aws-Sqsd-Queue", self.queue),
            ("X-Aws-Sqsd-Path", path),
            ("X-Aws-Sqsd-Sender-Id", message.sender_id),
            *_attribute_headers(message.attributes),
        ]
        if scheduled:
            headers.append(("X-Aws-Sqsd-Taskname", _reserved(message, TASK_NAME)))
            headers.append(("X-Aws-Sqsd-Scheduled-At", _iso_of(scheduled)))
        line = f"POST {_safe(path) if scheduled and path else self.path} HTTP/1.1"
        return _joined(line, headers) + body


def iso(seconds: float) -> str:
    """A time in the format of the daemon's headers: ISO 8601, UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def scheduled_text(seconds: float) -> str:
    """A time in the format of a periodic task's attribute."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _joined(line: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers if not _NO_HEADER.search(value)]
    return "\r\n".join((line, *lines, "\r\n")).encode("utf-8", "surrogatepass")


def _attribute_headers(attributes: Mapping[str, Attribute]) -> list[tuple[str, str]]:
    return [
        ("X-Aws-Sqsd-Attr-" + _capitalised(name), attribute.value)
        for name, attribute in attributes.items()
        if isinstance(attribute.value, str) and not name.startswith(RESERVED)
    ]


def _capitalised(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _reserved(message: Received, name: str) -> str:
    attribute = message.attributes.get(name)
    return "" if attribute is None else str(attribute.value)


def _safe(path: str) -> str:
    """The path, escaped for the request line. It is untrusted: the message's sender chose it.

    Only what would end the path or the line is escaped; the sender may choose any path.
    """
    return quote(path if path.startswith("/") else "/" + path, safe="/?=&%:;,@!$'()*+~-._")


def _iso_of(text: str) -> str:
    """The time in ISO 8601 if it can be parsed, else unchanged."""
    try:
        scheduled = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        return text
    return iso(scheduled.replace(tzinfo=scheduled.tzinfo or UTC).timestamp())
