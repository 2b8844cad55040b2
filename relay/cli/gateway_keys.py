"""`relay gateway key`: make, list and revoke event keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from relay.aws.errors import AwsError
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.gateway.key_document import KeyDocument
from relay.gateway.key_store import (
    BadKeyStore,
    KeyStore,
    StoredKey,
    new_key,
    read_key_store,
    write_key_store,
)
from relay.output.terminal import echo, echo_json

EXIT_CODES = "Exit codes: 0 done, 1 the keys cannot be read or written, 2 wrong usage or settings."

command = typer.Typer(
    help="Make, list and revoke the event keys of the gateway.",
    epilog=EXIT_CODES,
    rich_markup_mode="markdown",
    no_args_is_help=True,
)

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH|ARN",
        help="The document of keys: a file, the ARN of a secret, or ssm: and a parameter's name."
        " By default RELAY_GATEWAY_KEY_STORE.",
    ),
]
Name = Annotated[str, typer.Argument(help="The key's name, for logs and metrics.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@command.command("new")
def new(
    name: Name,
    *,
    event: Annotated[
        list[str] | None,
        typer.Option(help="A pattern of event names, such as 'billing/*'. Repeatable."),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="The most events a second.")] = None,
    max_request_bytes: Annotated[
        int | None, typer.Option(help="The most bytes of one request.")
    ] = None,
    store: Store = None,
    env_file: EnvFile = None,
) -> None:
    """Make an event key, and print it.

    Only its hash is stored, so it cannot be shown again. A running gateway accepts it within
    seconds. Without --event it may send any event.

    Example: `relay gateway key new billing --event 'billing/*' --rate 100`
    """
    text, key = new_key(
        name, events=tuple(event or ()), rate=rate, max_request_bytes=max_request_bytes
    )
    document = _document(store, env_file)
    _change(document, lambda keys: keys.with_new(key))
    echo(text)
    echo(
        f"relay: the key {name} is in {document.reference}; only its hash is stored, so keep the"
        " line above",
        err=True,
    )


@command.command("list")
def list_keys(*, as_json: AsJson = False, store: Store = None, env_file: EnvFile = None) -> None:
    """List the event keys: names, limits, and when they were made and revoked.

    Example: `relay gateway key list --store gateway-keys.json`
    """
    keys = _read(_document(store, env_file)).keys
    if as_json:
        echo_json({"keys": [_fields(key) for key in keys]}, indent=2)
        return
    rows = [("name", "events", "rate", "request bytes", "made", "revoked"), *map(_row, keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    echo(*("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows))


@command.command("revoke")
def revoke(name: Name, *, store: Store = None, env_file: EnvFile = None) -> None:
    """Revoke an event key. Requests with it are answered 401 within RELAY_SECRET_MAX_AGE seconds.

    Example: `relay gateway key revoke billing`
    """
    document = _document(store, env_file)
    now = datetime.now(UTC).replace(microsecond=0)
    _change(document, lambda keys: keys.with_revoked(name, now))
    echo(f"revoked the key {name} in {document.reference}")


def _document(store: str | None, env_file: EnvFile) -> KeyDocument:
    reference = store or load_settings(env_file).gateway_key_store
    if not reference:
        fail(
            "no document of keys is named: set RELAY_GATEWAY_KEY_STORE, or give --store with the"
            " path of a file or the ARN of a secret",
            code=USAGE,
        )
    return KeyDocument(reference)


def _read(document: KeyDocument) -> KeyStore:
    """The keys. A file that is not there yet has none."""
    try:
        return read_key_store(document.read())
    except FileNotFoundError:
        return KeyStore()
    except (OSError, AwsError, BadKeyStore) as error:
        fail(f"{document.reference} cannot be read: {_sentence(error)}")


def _change(document: KeyDocument, change: Callable[[KeyStore], KeyStore]) -> None:
    try:
        with document.locked():
            document.write(write_key_store(change(_read(document))))
    except BadKeyStore as error:
        fail(str(error), code=USAGE)
    except (OSError, AwsError) as error:
        fail(f"{document.reference} cannot be written: {_sentence(error)}")


def _sentence(error: Exception) -> str:
    return error.sentence if isinstance(error, AwsError) else str(error)


def _fields(key: StoredKey) -> dict[str, object]:
    return {
        "name": key.name,
        "events": list(key.events),
        "rate": key.rate,
        "max_request_bytes": key.max_request_bytes,
        "created_at": key.created_at and key.created_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
    }


def _row(key: StoredKey) -> tuple[str, ...]:
    return (
        key.name,
        " ".join(key.events) or "any",
        "-" if key.rate is None else f"{key.rate:g}/s",
        "-" if key.max_request_bytes is None else f"{key.max_request_bytes:,}",
        _day(key.created_at),
        _day(key.revoked_at),
    )


def _day(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}Z" if time else "-"
