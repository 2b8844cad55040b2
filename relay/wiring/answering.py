"""What a poller answers over HTTP: its health, and its metrics where Prometheus asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette

from relay.health import Readiness, health_routes
from relay.http_server import serving
from relay.settings import Settings
from relay.wiring.telemetry import Telemetry


def looking() -> tuple[bool, Mapping[str, Any]]:
    """The answer while the queue is being looked for."""
    return False, {"circuit": "closed", "halted": False, "reason": "the queue is being looked for"}


@dataclass(slots=True)
class Answering:
    """What `GET /ready` says; replaced when there is more to say."""

    ready: Readiness = looking

    def now(self) -> tuple[bool, Mapping[str, Any]]:
        """The answer of this moment."""
        return self.ready()


@contextlib.asynccontextmanager
async def answering(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Answering]:
    """Serve `/health`, `/ready` and perhaps `/metrics`, where PORT is set or Prometheus is asked.

    Otherwise nothing listens, so that any number of pollers can share a machine.

    Raises:
        OSError: the address cannot be bound.
    """
    answers = Answering()
    if settings.metrics != "prometheus" and "port" not in settings.model_fields_set:
        yield answers
        return
    app = Starlette(routes=health_routes(answers.now))
    async with serving(telemetry.beside(app), host=settings.host, port=settings.port):
        yield answers
