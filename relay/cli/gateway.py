"""`relay gateway`: run the event API in front of the queue."""

from __future__ import annotations

import typer

from relay.app.gateway import gateway, missing_settings
from relay.cli import gateway_keys
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.gateway.webhooks.sources import BadSource
from relay.http.listening import CannotListen
from relay.process import run

EXIT_CODES = (
    "Exit codes: 0 stopped by a signal, 1 cannot listen on RELAY_HOST and PORT, 2 wrong usage or"
    " settings."
)

command = typer.Typer(
    epilog=EXIT_CODES,
    rich_markup_mode="markdown",
    invoke_without_command=True,
)


command.add_typer(gateway_keys.command, name="key")


@command.callback()
def serve_gateway(context: typer.Context, *, env_file: EnvFile = None) -> None:
    """Accept events from Inngest's SDKs and put them into the queue.

    Point an SDK at it with INNGEST_EVENT_API_BASE_URL. `POST /e/KEY` takes what the SDK sends, and
    answers 200 only once SQS has confirmed every event. RELAY_QUEUE_URL is the queue,
    RELAY_GATEWAY_KEYS has the event keys, RELAY_WEBHOOKS the senders whose webhooks are accepted at
    `POST /webhooks/NAME`. Listens on RELAY_HOST and PORT (127.0.0.1:8000), where
    `GET /health` and `GET /ready` are too.

    If the queue or a permission is missing, requests are answered 503 until it is there. On SIGTERM
    it answers new requests 503, finishes those under way within RELAY_DRAIN_DEADLINE and exits.
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_settings(env_file)
    errors = missing_settings(settings)
    if errors:
        fail(*errors, code=USAGE)
    try:
        run(gateway(settings))
    except BadSource as error:
        fail(f"RELAY_WEBHOOKS: {error}", code=USAGE)
    except CannotListen as error:
        fail(f"{error.reason}: set RELAY_HOST and PORT to an address and port that are free")
