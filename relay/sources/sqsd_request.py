"""The message in a request of sqsd, Elastic Beanstalk's worker daemon."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.outcome import shortened

MESSAGE_ID_LENGTH = 100
"""Characters; Amazon SQS's own limit. Longer ones would fill the memory for recent MessageIds."""

_PREFIX = b"x-aws-sqsd-"
_ATTRIBUTE = b"x-aws-sqsd-attr-"
_COUNT = re.compile(r"[0-9]{1,9}")


class NotFromSqsd(Exception):
    """The request is not one that sqsd sends to this app. It is refused, never acknowledged.

    If there is a message behind it, it stays in the queue until SQS's own redrive policy moves it.
    """

    def __init__(self, code: str, reason: str, *, status: int = 400) -> None:
        self.reason = shortened(reason)
        super().__init__(self.reason)
        self.code = code
        self.status = status


def message_of(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    path: str,
    task_paths: frozenset[str] = frozenset(),
) -> Message:
    """The message in a request of sqsd (Elastic Beanstalk developer guide, worker tier).

    Attributes arrive as headers: names in lower case, Number as text, Binary not at all. Their
    types are not sent, so every attribute is a String here.

    Raises:
        NotFromSqsd: a header that sqsd always sends is missing, the settings do not allow the path,
            or the body was dropped. A producer can choose a message's path, and sqsd then empties
            the body: such a message is refused.
    """
    fields: dict[str, str] = {}
    attributes: dict[str, Attribute] = {}
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(_ATTRIBUTE):
            key = lower.removeprefix(_ATTRIBUTE).decode("latin-1")
            attributes[key] = Attribute("String", _text(value))
        elif lower.startswith(_PREFIX):
            fields[lower.removeprefix(_PREFIX).decode("latin-1")] = _text(value)
    task = _task(fields)
    _check(fields, path, task, task_paths)
    if not body and task is None:
        # SQS has no empty bodies, so the message has one. Its dead letter would be without it.
        raise NotFromSqsd(
            "emptied_body",
            "sqsd dropped the body, as it does for messages that set their path with the attribute"
            " beanstalk.sqsd.path",
        )
    return Message(
        body=body,
        message_id=fields["msgid"],
        queue=fields.get("queue", ""),
        attributes=attributes,
        receive_count=_count(fields.get("receive-count")),
        sent_at=_time(fields.get("sent-at")),
        first_received_at=_time(fields.get("first-received-at")),
        task=task,
    )


def _check(
    fields: dict[str, str],
    path: str,
    task: PeriodicTask | None,
    task_paths: frozenset[str],
) -> None:
    if not 0 < len(fields.get("msgid", "")) <= MESSAGE_ID_LENGTH:
        raise NotFromSqsd(
            "not_sqsd",
            "the header X-Aws-Sqsd-Msgid is missing or too long: only sqsd may post here",
        )
    if path != "/" and path not in task_paths:
        raise NotFromSqsd(
            "path_not_allowed",
            f"the path {path!r} is not allowed: if cron.yaml uses it, add it to RELAY_TASK_PATHS",
            status=404,
        )
    if path != "/" and task is None:
        raise NotFromSqsd(
            "not_a_task",
            f"the path {path!r} is for periodic tasks only, and X-Aws-Sqsd-Taskname is missing",
        )


def _task(fields: dict[str, str]) -> PeriodicTask | None:
    name = fields.get("taskname")
    return PeriodicTask(name, fields.get("scheduled-at", "")) if name else None


def _text(value: bytes) -> str:
    """The text of a header's bytes: UTF-8, or Latin-1 if they are not."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _count(value: str | None) -> int:
    return int(value) if value is not None and _COUNT.fullmatch(value) else 1


def _time(value: str | None) -> float | None:
    """Epoch seconds of an ISO 8601 time; UTC if it has no zone."""
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
