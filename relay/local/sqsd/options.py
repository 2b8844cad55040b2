"""The daemon's options, as in Elastic Beanstalk's namespace `aws:elasticbeanstalk:sqsd`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Inactivity = Literal["error-visibility", "leave-locked"]

RANGES: dict[str, tuple[int, int]] = {
    "http_connections": (1, 100),
    "connect_timeout": (1, 60),
    "inactivity_timeout": (1, 36_000),
    "visibility_timeout": (0, 43_200),
    "error_visibility_timeout": (0, 43_200),
    "retention_period": (60, 1_209_600),
    "max_retries": (1, 100),
    "backlog": (0, 10_000),
    "drain_timeout": (0, 36_000),
}
"""The documented ranges; those of the last two options, which Elastic Beanstalk does not have, are
ours."""

CONNECTIONS_PER_POLLER = 2.5
MOST_A_RECEIVE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsdOptions:
    """Every option with its documented default; times are whole seconds.

    Attributes:
        http_path: the path for messages that do not specify one.
        mime_type: the `Content-Type` of every request.
        http_connections: the most messages posted at the same time.
        connect_timeout: always real seconds, whatever the daemon's clock.
        inactivity_timeout: the longest silence of a response; any byte of it resets the timer.
        visibility_timeout: set with each receive; overrides the queue's.
        error_visibility_timeout: set after any response other than 200.
        retention_period: a message first received longer ago is deleted without being posted.
        max_retries: the maxReceiveCount of a queue that Elastic Beanstalk creates; the daemon
            does not use it.
        on_inactivity: what happens to a message whose response timed out. Sources differ: it gets
            the ErrorVisibilityTimeout (2.x), or it stays locked until its visibility timeout ends
            (observed with 3.0.5).
        backlog: the most received messages that may wait for a connection while their visibility
            timeout runs. None means ten per poller, as in 2.x with a fast application. 0 is what
            2.x falls back to when the application takes over 15 s per message.
        drain_timeout: how long a stop waits for responses, 600 in 2.x; 0 does not wait.

    Raises:
        ValueError: one sentence for each value out of range.
    """

    http_path: str = "/"
    mime_type: str = "application/json"
    http_connections: int = 50
    connect_timeout: int = 5
    inactivity_timeout: int = 299
    visibility_timeout: int = 300
    error_visibility_timeout: int = 2
    retention_period: int = 345_600
    max_retries: int = 10
    on_inactivity: Inactivity = "error-visibility"
    backlog: int | None = None
    drain_timeout: int = 600

    def __post_init__(self) -> None:
        """Check every range at once."""
        problems = [p for name in RANGES if (p := _problem(name, getattr(self, name)))]
        if not self.http_path.startswith("/"):
            problems.append(f"HttpPath must start with a slash, not {self.http_path!r}.")
        if self.on_inactivity not in get_args(Inactivity):
            problems.append(f"OnInactivity must be one of {', '.join(get_args(Inactivity))}.")
        if problems:
            raise ValueError(" ".join(problems))

    @property
    def pollers(self) -> int:
        """The most receives under way at once."""
        return math.ceil(self.http_connections / CONNECTIONS_PER_POLLER)

    @property
    def waiting(self) -> int:
        """The most messages that wait for a connection."""
        return self.pollers * MOST_A_RECEIVE if self.backlog is None else self.backlog

    @classmethod
    def parse(cls, settings: Iterable[str]) -> SqsdOptions:
        """Parse `Name=value` pairs with Elastic Beanstalk's names, such as `HttpConnections=10`.

        Raises:
            ValueError: the message names the invalid option.
        """
        return cls(**dict(map(_parsed, settings)))


def _problem(name: str, value: int | None) -> str | None:
    low, high = RANGES[name]
    if value is None or low <= value <= high:
        return None
    return f"{_public(name)} must be between {low} and {high}, not {value}."


def _public(name: str) -> str:
    return name.title().replace("_", "")


def _parsed(setting: str) -> tuple[str, Any]:
    given, _, value = setting.partition("=")
    names = {_public(field.name): field.name for field in fields(SqsdOptions)}
    name = names.get(given)
    if name is None:
        raise ValueError(f"There is no option {given!r}. The options are {', '.join(names)}.")
    if name not in RANGES:
        return name, value
    try:
        return name, int(value)
    except ValueError as error:
        raise ValueError(f"{given} must be a whole number, not {value!r}.") from error
