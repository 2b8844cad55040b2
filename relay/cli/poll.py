"""`relay poll`: pull mode, for everywhere but Elastic Beanstalk."""

from __future__ import annotations

from relay.app.poll import poll
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.http.server import CannotListen
from relay.process import run
from relay.settings.checks import missing

EXIT_CODES = (
    "Exit codes: 0 stopped as asked, 1 the address of its endpoints cannot be listened on,"
    " 2 wrong usage or settings."
)


def command(*, env_file: EnvFile = None) -> None:
    """Receive messages from the queue itself and deliver their events.

    RELAY_QUEUE_URL names the queue by URL, ARN or name; region, profile, credentials and endpoint
    come from AWS's own variables and files (AWS_ENDPOINT_URL_SQS for a local server). Never run it
    on a queue that a worker daemon reads: one of them at a time.

    With PORT set it answers `GET /health` and `GET /ready` there, as `relay serve` does.

    A queue, key or permission that is missing does not end it: it says which, and tries again every
    half minute. SIGTERM takes no more, finishes what is in hand within RELAY_DRAIN_DEADLINE,
    releases the rest and leaves. A second SIGTERM releases everything at once.
    """
    settings = load_settings(env_file)
    wrong = missing(settings)
    if settings.queue_url is None:
        wrong.append("RELAY_QUEUE_URL is not set: set it to the queue's URL, ARN or name")
    if wrong:
        fail(*wrong, code=USAGE)
    try:
        run(poll(settings))
    except CannotListen as error:
        fail(f"{error.reason}: set RELAY_HOST and PORT to what is free on this machine")
