"""`relay dlq show`: everything about one dead letter."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from relay.app.dlq import open_ledger_reader
from relay.aws.errors import AwsError
from relay.cli.dlq import options as o
from relay.cli.dlq.input import DeadLetters, open_dead_letters
from relay.cli.dlq.listing import fields
from relay.cli.startup import EnvFile, fail, load_settings
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter, event_fields
from relay.dlq.records import message_to_fields
from relay.dlq.snapshot import Head
from relay.model.encoded_body import is_truncated, stored_beginning
from relay.model.outcome import Reject
from relay.output.tables import print_lines, print_text
from relay.output.terminal import echo, echo_json, escape, escape_json, write
from relay.output.times import format_relative, format_time
from relay.settings.model import Settings

_SHOWN_APART = ("id", "name", "message", "events", "ledger", "beginning")
"""Fields that have more than one line, or that are among the others."""


_LABELS = {
    "message_id": "message id in this queue",
    "sent_at": "dead-lettered at",
    "source": "source queue",
    "hops": "times dead-lettered",
}

EXAMPLES = (
    "relay dlq show order-8821-paid",
    "relay dlq show order-8821-paid night.jsonl.gz",
)


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

    That is its events as the relay decodes them, the reason, the source queue, and the message
    itself, byte for byte. If several dead letters have the id, all of them are shown.
    """
    settings = load_settings(env_file)
    opening = open_dead_letters(settings, snapshot, dlq, queue, wait)
    if not asyncio.run(_show(settings, opening, wanted, as_json=as_json)):
        fail(f"no dead letter here has the id {wanted}")


async def _show(
    settings: Settings,
    opening: AbstractAsyncContextManager[DeadLetters],
    wanted: str,
    *,
    as_json: bool,
) -> int:
    """Show those with the id, and return how many there are."""
    filters, count = Filter(ids=(wanted,)), 0
    async with opening as dead_letters:
        async for dead_letter in dead_letters:
            if filters.matches(dead_letter):
                count += 1
                described = describe(dead_letter, dead_letters.head)
                described["ledger"] = await _ledger_states(settings, dead_letter)
                if as_json:
                    echo_json({"type": "dead_letter", **described}, indent=2)
                    continue
                if count > 1:
                    echo("")
                _print(described)
    return count


def describe(dead_letter: DeadLetter, head: Head) -> dict[str, Any]:
    """Everything that is known about a dead letter, as JSON values."""
    origin, pointer = dead_letter.origin, dead_letter.pointer
    return {
        **fields(dead_letter, head),
        "events": [event_fields(event) for event in dead_letter.events],
        "would_be_rejected": _rejection(dead_letter),
        "payload": f"s3://{pointer.bucket}/{pointer.key}" if pointer else None,
        "pending": list(origin.pending) if origin and origin.pending is not None else None,
        "generation": origin.generation if origin else 0,
        "lost": list(origin.lost) if origin else [],
        "encoding": origin.encoding if origin else None,
        "beginning": _beginning(dead_letter),
        "message": message_to_fields(dead_letter.message),
    }


def _beginning(dead_letter: DeadLetter) -> str | None:
    """What was kept of a truncated body; None for any other body."""
    encoding = dead_letter.origin.encoding if dead_letter.origin else None
    if not is_truncated(encoding):
        return None
    return stored_beginning(dead_letter.message.body, encoding).decode("utf-8", "replace")


async def _ledger_states(settings: Settings, dead_letter: DeadLetter) -> list[dict[str, Any]]:
    """What the ledger has about each event; empty if there is no ledger or it does not answer."""
    async with open_ledger_reader(settings) as ledger:
        if ledger is None or not dead_letter.events:
            return []
        try:
            states = await ledger.look_up(dead_letter.events)
        except AwsError as error:
            echo(f"relay: the ledger was not read: {error.sentence}", err=True)
            return []
    return [
        {"id": event.id, **(asdict(state) if state else {})}
        for event, state in zip(dead_letter.events, states, strict=True)
    ]


def _text(name: str, value: Any) -> str:
    if name in ("first_sent_at", "sent_at", "expires_at"):
        return f"{format_time(value)} ({format_relative(value, time.time())})"
    return f"{value['code']}: {value['reason']}" if isinstance(value, dict) else str(value)


def _rejection(dead_letter: DeadLetter) -> dict[str, str] | None:
    if dead_letter.payload_unread or not isinstance(dead_letter.decoded, Reject):
        return None
    return {"code": dead_letter.decoded.code, "reason": dead_letter.decoded.reason}


def _print(described: dict[str, Any]) -> None:
    """Print all of it. Only the body keeps its line breaks and tabs."""
    message = dict(described["message"])
    body = message.pop("body", None)
    if described["sent_at"] == described["first_sent_at"]:
        described = described | {"sent_at": None}
    for name, value in described.items():
        if name not in _SHOWN_APART and value not in (None, [], False):
            label = _LABELS.get(name, name.replace("_", " "))
            print_text([Text.assemble((f"{label}: ", "bold"), escape(_text(name, value)))])
    for event in described["events"]:
        _heading(f"event {escape(event['id'])}, as it would be sent:")
        write(escape_json(json.dumps(event, indent=2, ensure_ascii=False)) + "\n")
    for state in described["ledger"]:
        _heading(f"ledger entry of {escape(state['id'])}: {_steps(state)}")
    _heading("message, as received from the dead-letter queue, without its body:")
    write(escape_json(json.dumps(message, indent=2, ensure_ascii=False)) + "\n")
    if described["beginning"] is not None:
        _heading("body, of which only the beginning was kept:")
        write(described["beginning"] + "\n")
    elif body is not None:
        _heading(f"body, {len(body.encode('utf-8', 'surrogatepass'))} bytes:")
        write(body + "\n")


def _heading(text: str) -> None:
    print_lines([Text(""), Text(text, "bold")])


def _steps(state: dict[str, Any]) -> str:
    steps = {n.removesuffix("_at"): format_time(at) for n, at in state.items() if n != "id" and at}
    return ", ".join(f"{step} {at}" for step, at in steps.items()) or "no entry"
