"""The sink that the settings name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from relay.aws.cloudwatch import has_credentials, put_metrics
from relay.aws.errors import QueueError
from relay.settings import Settings
from relay.telemetry.extra import needing_otlp
from relay.telemetry.report import NotTaken, Report, Sink
from relay.telemetry.sinks.cloudwatch import CloudWatchSink
from relay.telemetry.sinks.emf import EmfAgent, EmfLines, append_to
from relay.wiring.session import SharedSession

_log = logging.getLogger(__name__)


class Nowhere:
    """The sink of those who want none."""

    async def put(self, report: Report) -> None:
        """Forget it."""


class WithCredentials:
    """CloudWatch if there are AWS credentials when the first report comes, else nowhere."""

    def __init__(self, session: SharedSession) -> None:
        self._session = session
        self._chosen: Sink | None = None

    async def put(self, report: Report) -> None:
        """Pass the report on."""
        if self._chosen is None:
            self._chosen = await self._choose()
        await self._chosen.put(report)

    async def _choose(self) -> Sink:
        try:
            found = await has_credentials(await self._session())
        except QueueError as error:
            raise NotTaken(error.sentence) from error
        if not found:
            _log.info("no AWS credentials, so metrics go nowhere: see RELAY_METRICS")
        return _cloudwatch(self._session) if found else Nowhere()


def sink(settings: Settings, session: SharedSession, screen: Callable[[str], None]) -> Sink:
    """Where metrics go. Prometheus fetches them by itself and is none of these.

    Raises:
        ExtraMissing: the libraries for it are not installed.
    """
    if settings.metrics == "auto":
        return WithCredentials(session)
    if settings.metrics == "cloudwatch":
        return _cloudwatch(session)
    if settings.metrics == "emf":
        return _emf(settings, screen)
    if settings.metrics == "otlp":
        make = needing_otlp("relay.telemetry.sinks.otlp", "OtlpSink", "RELAY_METRICS=otlp")
        made: Sink = make(settings.service)
        return made
    return Nowhere()


def _cloudwatch(session: SharedSession) -> Sink:
    async def put(namespace: str, entries: Sequence[dict[str, Any]]) -> None:
        try:
            await put_metrics(await session(), namespace, entries)
        except QueueError as error:
            raise NotTaken(error.sentence) from error

    return CloudWatchSink(put)


def _emf(settings: Settings, screen: Callable[[str], None]) -> Sink:
    if settings.emf_to == "stdout":
        return EmfLines(screen)
    if "://" not in settings.emf_to:
        return EmfLines(append_to(Path(settings.emf_to)))
    parts = urlsplit(settings.emf_to)
    return EmfAgent(parts.hostname or "", parts.port or 0, settings.emf_log_group)
