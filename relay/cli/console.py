"""`relay console`: a web page for operators on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from relay.cli.startup import USAGE, EnvFile, fail, load_network
from relay.http.listening import CannotListen
from relay.http.server import local_url
from relay.local.processes import CONSOLE_AT
from relay.output.terminal import echo
from relay.process import run

EXIT_CODES = (
    "Exit codes: 0 stopped by a signal, 1 cannot listen on the address, 2 wrong usage or settings,"
    " or the extra `console` is not installed."
)

EXAMPLES = """\
relay console
relay console --relay http://10.0.1.17:8000 --relay http://10.0.2.4:8000
relay console --write --directory incident
relay console --base-url https://ops.example/relay
"""

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def command(
    *,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="The address to listen on; loopback by default.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 picks a free one.")
    ] = 8290,
    write: Annotated[
        bool, typer.Option("--write", help="Allow redrives, drops and restores.")
    ] = False,
    relay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A relay's address; default from RELAY_HOST and PORT. Repeatable.",
        ),
    ] = None,
    directory: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Where snapshots, journals and backups are read and written."
        ),
    ] = Path(),
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address by which a proxy makes the console reachable, with its path.",
        ),
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """Serve a web page that shows queues, relays, dead letters and traces, until Ctrl-C.

    Prints an address with a token; only who has it can use the page. Without --write the page
    changes nothing, except that a snapshot receives each dead letter once. Needs the extra
    `console`: pip install 'sqs-relay[console]'.
    """
    if find_spec("jinja2") is None:
        fail(
            "the console needs Jinja2, which is not installed: pip install 'sqs-relay[console]'",
            code=USAGE,
        )
    if host in EVERYWHERE and base_url is None:
        fail(
            f"--host {host} needs --base-url: the console answers only to addresses that it knows",
            code=USAGE,
        )
    _serve(
        env_file,
        host=host,
        port=port,
        write=write,
        relays=relay or (),
        directory=directory,
        base_url=_base_url(base_url),
    )


def _serve(env_file: Path | None, *, relays: list[str] | tuple[str, ...], **given: object) -> None:
    # It imports Jinja2, which only this command needs.
    from relay.app.console.serve import ConsoleOptions, serve_console  # noqa: PLC0415 - see above

    loaded = load_network(env_file)
    for warning in (*loaded.warnings, *loaded.errors):
        echo(f"relay: {warning}", err=True)
    settings = loaded.settings
    urls = [url.rstrip("/") for url in relays or [local_url(settings.host, settings.port)]]
    options = ConsoleOptions(relays=urls, **given)  # type: ignore[arg-type]  # as `command` has them
    try:
        run(serve_console(loaded, options, _announce))
    except CannotListen as error:
        fail(f"{error.reason}: choose another address with --host and --port")


def _announce(address: str) -> None:
    echo(f"{CONSOLE_AT}{address}", "Ctrl-C stops it.")


def _base_url(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits or "@" in text or parts.query or parts.fragment:
        fail("--base-url takes an address such as https://ops.example/relay", code=USAGE)
    return text
