"""`relay serve`: push mode, behind Elastic Beanstalk's worker daemon."""

from __future__ import annotations

import typer

from relay.app.serve import serve
from relay.cli.startup import EnvFile, fail
from relay.http.server import CannotListen
from relay.process import run
from relay.settings.loading import load

EXIT_CODES = "Exit codes: 0 stopped as asked, 1 the address cannot be listened on."


def command(*, env_file: EnvFile = None) -> None:
    """Take messages from the worker daemon (sqsd) and deliver their events.

    Listens on 127.0.0.1:8000 (RELAY_HOST, PORT): `POST /` for messages, `GET /health` says that the
    process lives, `GET /ready` says whether events flow and if not, which setting to look at.

    A mistake in the settings does not end it: it starts halted, holds every request, names the
    mistake, and loses nothing. SIGTERM finishes what is on the wire, answers, and leaves.
    """
    loaded = load(env_file=env_file)
    for warning in loaded.warnings:
        typer.echo(f"relay: {warning}", err=True)
    try:
        run(serve(loaded, loaded.problems))
    except CannotListen as error:
        fail(f"{error.reason}: set RELAY_HOST and PORT to what is free on this machine")
