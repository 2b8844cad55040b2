"""The daemon's options, as Elastic Beanstalk's namespace `aws:elasticbeanstalk:sqsd` has them."""

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
"""The documented ranges, and for the last two, which Elastic Beanstalk does not offer, our own."""

CONNECTIONS_PER_POLLER = 2.5
MOST_A_RECEIVE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsdOptions:
    """Every option with its documented default; times are whole seconds.

    Attributes:
        http_path: where messages are posted that name no path of their own.
        mime_type: the `Content-Type` of every request.
        http_connections: how many messages are in the application's hands at once.
        connect_timeout: for the network, so always real seconds, whatever the daemon's clock.
        inactivity_timeout: how long the answer may stay silent; any byte of it starts anew.
        visibility_timeout: set with each receive, in place of the queue's own.
        error_visibility_timeout: set after any answer but 200.
        retention_period: a message first received longer ago is deleted, unposted.
        max_retries: the maxReceiveCount of a queue that Elastic Beanstalk makes itself; the daemon
            does nothing with it.
        on_inactivity: what becomes of a message whose answer stayed silent. Sources differ: its
            ErrorVisibilityTimeout (2.x), or it stays locked until its visibility lapses (a probe
            of 3.0.5).
        backlog: messages received that may wait for a connection while their visibility runs; None
            is ten a poller, as 2.x has it for a quick application. 0 is what it falls back to for
            one that takes over 15 s a message.
        drain_timeout: how long a stop waits for the answers in hand, 600 in 2.x; 0 leaves at once.

    Raises:
        ValueError: one sentence for each value out of its range.
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
        """The most messages that wait in the daemon for a connection."""
        return self.pollers * MOST_A_RECEIVE if self.backlog is None else self.backlog

    @classmethod
    def parse(cls, settings: Iterable[str]) -> SqsdOptions:
        """Read `Name=value` pairs by Elastic Beanstalk's names, `HttpConnections=10` for instance.

        Raises:
            ValueError: a sentence that names the option at fault.
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
        raise ValueError(f"There is no option {given!r}; there are {', '.join(names)}.")
    if name not in RANGES:
        return name, value
    try:
        return name, int(value)
    except ValueError as error:
        raise ValueError(f"{given} must be a whole number, not {value!r}.") from error
