"""What the worker daemon's request says: its headers become a message."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from relay.message import Attribute, Message, PeriodicTask

_PREFIX = b"x-aws-sqsd-"
_ATTRIBUTE = b"x-aws-sqsd-attr-"
_COUNT = re.compile(r"[0-9]{1,9}")


class NotFromSqsd(Exception):
    """The request is none that the daemon sends for us; it is refused and nothing is acknowledged.

    A message behind it stays in the queue, whole, until SQS's own redrive policy moves it.
    """

    def __init__(self, code: str, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.status = status


def message_of(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    path: str,
    task_paths: frozenset[str] = frozenset(),
) -> Message:
    """The message in a request of the daemon (Elastic Beanstalk developer guide, worker tier).

    Attributes arrive as headers: names in lower case, Number as text, Binary not at all. The types
    are not told, so every attribute is a String here.

    Raises:
        NotFromSqsd: headers that every request of the daemon has are missing, the path is not one
            that the settings allow, or the body was dropped. Whoever may send a message may choose
            its path, and the daemon then empties the body: such a message is not taken.
    """
    told: dict[str, str] = {}
    attributes: dict[str, Attribute] = {}
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(_ATTRIBUTE):
            key = lower.removeprefix(_ATTRIBUTE).decode("latin-1")
            attributes[key] = Attribute("String", _text(value))
        elif lower.startswith(_PREFIX):
            told[lower.removeprefix(_PREFIX).decode("latin-1")] = _text(value)
    task = _task(told)
    _check(told, path, task, task_paths)
    if not body and task is None:
        # SQS holds no empty body: a dead letter of this one would be all that is left of the whole.
        raise NotFromSqsd(
            "emptied_body",
            "the body was dropped on the way, as the daemon does where a message chooses its path"
            " with beanstalk.sqsd.path",
        )
    return Message(
        body=body,
        message_id=told["msgid"],
        queue=told.get("queue", ""),
        attributes=attributes,
        receive_count=_count(told.get("receive-count")),
        sent_at=_time(told.get("sent-at")),
        first_received_at=_time(told.get("first-received-at")),
        task=task,
    )


def _check(
    told: dict[str, str],
    path: str,
    task: PeriodicTask | None,
    task_paths: frozenset[str],
) -> None:
    if not told.get("msgid"):
        raise NotFromSqsd(
            "not_sqsd", "the header X-Aws-Sqsd-Msgid is missing: only the worker daemon posts here"
        )
    if path != "/" and path not in task_paths:
        raise NotFromSqsd(
            "path_not_allowed",
            f"no task is taken on {path!r}: name the path in RELAY_TASK_PATHS if cron.yaml uses it",
            status=404,
        )
    if path != "/" and task is None:
        raise NotFromSqsd(
            "not_a_task", f"{path!r} takes periodic tasks only, and X-Aws-Sqsd-Taskname is missing"
        )


def _task(told: dict[str, str]) -> PeriodicTask | None:
    name = told.get("taskname")
    return PeriodicTask(name, told.get("scheduled-at", "")) if name else None


def _text(value: bytes) -> str:
    """Header bytes as the daemon wrote them: UTF-8, or Latin-1 where they are not."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _count(value: str | None) -> int:
    return int(value) if value is not None and _COUNT.fullmatch(value) else 1


def _time(value: str | None) -> float | None:
    """Epoch seconds of an ISO 8601 time; UTC where it names no zone."""
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
