"""`relay dlq show`: one dead letter, whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from relay.app.dlq import open_ledger_reader
from relay.aws.errors import AwsError
from relay.cli.dlq import options as o
from relay.cli.dlq.input import Letters, letters
from relay.cli.dlq.listing import fields
from relay.cli.dlq.output import printable
from relay.cli.startup import EnvFile, fail, load_settings
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter, event_fields, format_time
from relay.dlq.records import of_message
from relay.dlq.snapshot import Head
from relay.model.outcome import Reject
from relay.settings.model import Settings


def command(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="A MessageId, a base id or an event's id.")
    ],
    snapshot: o.SnapshotFile = None,
    *,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    wait: o.Wait = 1.0,
    env_file: EnvFile = None,
) -> None:
    """Show everything about a dead letter.

    Its events as the relay reads them, why it is here, where it has been, and the message itself,
    byte for byte. Several may have one id.
    """
    settings = load_settings(env_file)
    found = letters(settings, snapshot, dlq, queue, wait)
    if not asyncio.run(_show(settings, found, wanted, as_json=as_json)):
        fail(f"no dead letter here has the id {wanted}")


async def _show(
    settings: Settings,
    given: AbstractAsyncContextManager[Letters],
    wanted: str,
    *,
    as_json: bool,
) -> int:
    """How many have the id."""
    meant, count = Filter(ids=(wanted,)), 0
    async with given as found:
        async for letter in found:
            if meant.matches(letter):
                count += 1
                whole = described(letter, found.head)
                whole["ledger"] = await _recalled(settings, letter)
                typer.echo(json.dumps(whole, indent=2) if as_json else "\n".join(_told(whole)))
    return count


def described(letter: DeadLetter, head: Head) -> dict[str, Any]:
    """Everything that is known about a letter, as JSON values."""
    origin, pointer = letter.origin, letter.pointer
    return {
        **fields(letter, head),
        "events": [event_fields(event) for event in letter.events],
        "would_be_rejected": _again(letter),
        "payload": f"s3://{pointer.bucket}/{pointer.key}" if pointer else None,
        "pending": list(origin.pending) if origin and origin.pending is not None else None,
        "generation": origin.generation if origin else 0,
        "lost": list(origin.lost) if origin else [],
        "message": of_message(letter.message),
    }


async def _recalled(settings: Settings, letter: DeadLetter) -> list[dict[str, Any]]:
    """What the ledger knows of each event; nothing where there is none or it does not answer."""
    async with open_ledger_reader(settings) as memory:
        if memory is None or not letter.events:
            return []
        try:
            known = await memory.look_up(letter.events)
        except AwsError as error:
            typer.echo(f"relay: the ledger was not asked: {error.sentence}", err=True)
            return []
    return [
        {"id": event.id, **(asdict(what) if what else {})}
        for event, what in zip(letter.events, known, strict=True)
    ]


def _text(name: str, value: Any) -> str:
    if name in ("first_sent_at", "sent_at", "expires_at"):
        return format_time(value)
    return f"{value['code']}: {value['reason']}" if isinstance(value, dict) else str(value)


def _again(letter: DeadLetter) -> dict[str, str] | None:
    if letter.sealed or not isinstance(letter.found, Reject):
        return None
    return {"code": letter.found.code, "reason": letter.found.reason}


def _told(whole: dict[str, Any]) -> Iterator[str]:
    message = dict(whole["message"])
    for name, value in whole.items():
        if name not in ("message", "events", "ledger") and value not in (None, [], False):
            yield f"{name.replace('_', ' ')}: {printable(_text(name, value))}"
    for event in whole["events"]:
        yield ""
        yield f"event {printable(event['id'])}"
        yield printable(json.dumps(event, indent=2, ensure_ascii=False))
    for known in whole["ledger"]:
        steps = {
            n.removesuffix("_at"): format_time(at) for n, at in known.items() if n != "id" and at
        }
        told = ", ".join(f"{step} {at}" for step, at in steps.items()) or "nothing is known"
        yield f"ledger: {printable(known['id'])}: {told}"
    body = message.pop("body", None)
    yield ""
    yield f"message {printable(json.dumps(message, indent=2, ensure_ascii=False))}"
    if body is not None:
        yield ""
        yield printable(body)
