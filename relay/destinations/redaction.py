"""Keeps secrets out of the HTTP clients' own log lines, and of the outcomes of a destination."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from relay.model.destination import BatchRefused, Destination, Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome
from relay.output.redaction import Redactor

LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
"""All loggers by name: a filter applies to its own logger, not to child loggers."""


class ClientLogFilter(logging.Filter):
    """Redacts the lines of the HTTP clients' loggers, as a context manager."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def __enter__(self) -> None:
        for name in LOGGERS:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *_: object) -> None:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record's message and let it through."""
        message = record.getMessage()
        hidden = self._redactor.redact_known(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        return True


class RedactedDestination:
    """A destination whose reasons contain no secret, whatever its server answered.

    The reasons go to dead letters, `/ready`, spans and the log. A destination that cuts its
    server's answer should redact it before: a half of a secret is harder to recognise.
    """

    def __init__(self, destination: Destination, redactor: Redactor) -> None:
        self._destination = destination
        self._hide = redactor.redact

    @property
    def limits(self) -> Limits:
        """The limits of the destination."""
        return self._destination.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send the events."""
        try:
            outcomes = await self._destination.send(events)
        except (Unavailable, BatchRefused) as error:
            error.reason = self._hide(error.reason)
            error.args = (error.reason,)
            raise
        if {*map(type, outcomes)} <= {Delivered}:
            return outcomes
        return [self._redacted(outcome) for outcome in outcomes]

    def _redacted(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Delivered):
            return outcome
        return replace(outcome, reason=self._hide(outcome.reason))
