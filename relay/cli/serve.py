"""`relay serve`: run the relay in push mode, behind Elastic Beanstalk's worker daemon (sqsd)."""

from __future__ import annotations

from relay.app.serve import serve
from relay.cli.startup import EnvFile, fail, load_network
from relay.http.listening import CannotListen
from relay.output.terminal import echo
from relay.process import run

EXIT_CODES = "Exit codes: 0 stopped by a signal, 1 cannot listen on RELAY_HOST and PORT."

EXAMPLES = """\
relay serve
PORT=8080 RELAY_HOST=0.0.0.0 relay serve --env-file relay.env
"""


def command(*, env_file: EnvFile = None) -> None:
    """Deliver the events of messages pushed by the worker daemon, sqsd (push mode).

    Listens on RELAY_HOST and PORT (127.0.0.1:8000). `POST /` receives a message. `GET /health` is
    200 while the process runs. `GET /ready` shows whether events are being delivered and, if not,
    why and which setting to check.

    With invalid settings the relay starts halted: it holds every request and reports the error, so
    that no message is lost. On SIGTERM it finishes the requests in progress and exits.
    """
    loaded = load_network(env_file)
    for warning in loaded.warnings:
        echo(f"relay: {warning}", err=True)
    try:
        run(serve(loaded))
    except CannotListen as error:
        fail(f"{error.reason}: set RELAY_HOST and PORT to an address and port that are free")
