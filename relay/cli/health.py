"""`relay health`: ask the relay on this machine whether it runs, for a container's health check."""

from __future__ import annotations

import http.client
import json
from typing import Annotated
from urllib.parse import urlsplit

import typer

from relay.cli.startup import EnvFile, fail
from relay.http.server import local_url
from relay.output.terminal import echo
from relay.settings.loading import load

EXAMPLES = """\
relay health
relay health --ready
"""

EXIT_CODES = "Exit codes: 0 healthy, 1 not, 2 wrong usage."

PATIENCE = 3.0
"""Seconds to wait for the answer."""

MOST_BYTES = 65_536
OK = 200


def command(
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether events are delivered (`GET /ready`).")
    ] = False,
    env_file: EnvFile = None,
) -> None:
    """Ask the relay on this machine for `GET /health`, on RELAY_HOST and PORT.

    It uses the relay's own settings and needs neither a network nor credentials. `relay poll`
    answers only if PORT is set, or with RELAY_METRICS=prometheus. With `--ready` the exit code says
    whether events are delivered; do not restart a relay because they are not.
    """
    # Not `load_settings`: with a mistake in them, `relay serve` runs and is healthy.
    settings = load(env_file=env_file).settings
    url = local_url(settings.host, settings.port)
    path = "/ready" if ready else "/health"
    try:
        status, body = _get(url, path)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        fail(f"{url}{path} does not answer ({reason}): is PORT set, and does the relay run?")
    if status != OK:
        fail(f"{url}{path} answered {status}{_reason(body)}")
    echo(f"{url}{path} answered {status}")


def _get(url: str, path: str) -> tuple[int, bytes]:
    """The status and the body of the answer, without a proxy."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)
    finally:
        connection.close()


def _reason(body: bytes) -> str:
    """The reason in the answer of `/ready`, if it is there."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    reason = document.get("reason") if isinstance(document, dict) else None
    return f": {reason}" if isinstance(reason, str) else ""
