"""`relay poll`: run the relay in pull mode, on any platform."""

from __future__ import annotations

from relay.app.poll import QueueRefused, poll
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.http.listening import CannotListen
from relay.process import run
from relay.settings.missing import missing
from relay.settings.model import Settings

EXIT_CODES = (
    "Exit codes: 0 stopped by a signal, 1 cannot listen on RELAY_HOST and PORT, or a process of"
    " RELAY_PROCESSES did not stop in time, 2 wrong usage or settings."
)

EXAMPLES = """\
RELAY_QUEUE_URL=orders relay poll --env-file relay.env
PORT=8000 RELAY_METRICS=prometheus relay poll
RELAY_PROCESSES=4 relay poll
"""


def command(*, env_file: EnvFile = None) -> None:
    """Receive messages from an SQS queue and deliver their events (pull mode).

    RELAY_QUEUE_URL is the queue's URL, ARN or name. Region, profile, credentials and endpoint come
    from AWS's own variables and files (AWS_ENDPOINT_URL_SQS for a local server). Never run this on
    a queue that a worker daemon (sqsd) also receives from.

    If PORT is set, or with RELAY_METRICS=prometheus, it also serves `GET /health` and `GET /ready`
    on RELAY_HOST and PORT, as `relay serve` does.

    If a queue, key or permission is missing, the relay reports it, keeps running and tries again
    every 30 seconds. On SIGTERM it stops receiving, finishes the messages in flight within
    RELAY_DRAIN_DEADLINE, releases the rest and exits. A second SIGTERM releases everything at once.

    With RELAY_PROCESSES above 1 it starts as many processes that poll, restarts one that ends, and
    answers for all of them on RELAY_HOST and PORT.
    """
    settings = load_settings(env_file)
    errors = missing(settings)
    if settings.queue_url is None:
        errors.append("RELAY_QUEUE_URL is not set: set it to the queue's URL, ARN or name")
    if errors:
        fail(*errors, code=USAGE)
    try:
        if settings.processes == 1:
            run(poll(settings))
        else:
            _poll_in_processes(settings)
    except QueueRefused as error:
        fail(str(error), code=USAGE)
    except CannotListen as error:
        fail(f"{error.reason}: set RELAY_HOST and PORT to an address and port that are free")


def _poll_in_processes(settings: Settings) -> None:
    # A relay of one process is started without what only several need.
    from relay.app.processes import NotStopped, poll_in_processes  # noqa: PLC0415 - see above

    try:
        poll_in_processes(settings)
    except NotStopped as error:
        fail(str(error))
