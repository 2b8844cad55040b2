"""`relay pause`: stop all relays on a queue from taking messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, NoReturn, TypeAlias

import httpx
import typer

from relay.app.audit import now, write_audit
from relay.aws.errors import AwsError
from relay.aws.session import open_session
from relay.aws.sqs import Queue, open_queue
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.cli.status import is_address
from relay.delivery.pause import CHECK_EVERY, Pause
from relay.dlq.journal import who
from relay.ops.pausing import CONFIRM_WITHIN, Change, PauseRefused, ask_relays, pause_queue
from relay.ops.status import RELAY_TIMEOUT, RelayStatus
from relay.output.terminal import echo, echo_json
from relay.settings.model import Settings

UNCONFIRMED = 3

EXAMPLES = """\
relay pause --reason "database migration, INC-42"
relay pause --queue orders-events --relay http://10.0.0.7:8000
"""

EXIT_CODES = (
    "Exit codes: 0 the queue is paused, 1 SQS refused or did not answer, 2 wrong usage or settings,"
    " or not a queue that can be paused, 3 the queue is paused, but a relay named by --relay has"
    " not confirmed it."
)

QueueOption: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="QUEUE", help="Queue URL, ARN or name; default RELAY_QUEUE_URL."),
]
RelayOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL", help="Wait until the relay at this address has noticed. Repeatable."
    ),
]
WaitOption: TypeAlias = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.0, help="How long to wait for those relays.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def command(
    *,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for those who find the queue paused.")
    ] = "",
    queue: QueueOption = None,
    relay: RelayOption = None,
    wait: WaitOption = CONFIRM_WITHIN,
    as_json: JsonOption = False,
    env_file: EnvFile = None,
) -> None:
    """Stop all relays on the queue from taking messages, until `relay resume`.

    The queue gets the tag `relay-paused`, which every relay on it notices within 15 seconds. What
    is in flight is finished. In pull mode nothing more is received; in push mode sqsd goes on
    posting, and the requests are held. Producers are not affected: messages wait in the queue.
    """
    settings, urls = load_settings(env_file), relay_addresses(relay)
    pause = Pause(by=who(), at=time.time(), reason=reason)

    async def act(found: Queue) -> Change:
        return await pause_queue(found, pause, settings.dlq_url)

    name, change = asyncio.run(change_queue(settings, queue, act, again="relay pause"))
    assert change.pause is not None  # noqa: S101 - a queue that could not be paused raises
    if change.changed:
        audit(settings, "pause", name, change.pause)
    relays = asyncio.run(confirmations(urls, wait, paused=True))
    document = {"queue": name, "paused": True, **_outcome(change), "relays": shown(relays)}
    already = "" if change.changed else "already "
    sentence = f"{name} is {already}{change.pause.sentence}"
    if not urls:
        sentence += f"; each relay on it notices within {CHECK_EVERY:g} s"
    finish(document, [sentence], relays, paused=True, as_json=as_json)


def _outcome(change: Change) -> dict[str, object]:
    return {"changed": change.changed, "pause": change.pause and change.pause.as_json()}


def relay_addresses(given: list[str] | None) -> list[str]:
    """The addresses of relays without a slash at the end; exits if one is invalid."""
    urls = [url.rstrip("/") for url in given or ()]
    if not all(map(is_address, urls)):
        fail("--relay takes an address such as http://127.0.0.1:8000, without a user", code=USAGE)
    return urls


async def change_queue(
    settings: Settings,
    queue: str | None,
    act: Callable[[Queue], Awaitable[Change]],
    *,
    again: str,
) -> tuple[str, Change]:
    """Open the queue and change it; returns its name too. Exits with a sentence if that fails."""
    reference = queue or settings.queue_url
    if reference is None:
        fail("no queue given: use --queue or set RELAY_QUEUE_URL", code=USAGE)
    try:
        async with open_session() as session, open_queue(session, reference) as found:
            return found.name, await act(found)
    except PauseRefused as error:
        fail(str(error), code=USAGE)
    except AwsError as error:
        _fail(error, again)


def _fail(error: AwsError, again: str) -> NoReturn:
    if error.kind == "connection":
        fail(error.sentence, f"it may have happened all the same: `{again}` again says so")
    fail(error.sentence)


def audit(settings: Settings, action: str, queue: str, pause: Pause) -> None:
    """Log who did it, on which queue, with the pause that began or ended."""
    line = {"audit": action, "by": who(), "at": now(), "queue": queue}
    about = {"paused_by": pause.by, "paused_at": pause.as_json()["at"], "reason": pause.reason}
    write_audit(settings, line | {name: value for name, value in about.items() if value})


async def confirmations(urls: list[str], wait: float, *, paused: bool) -> list[RelayStatus]:
    """What the relays say, after they have had so many seconds to notice."""
    if not urls:
        return []
    async with httpx.AsyncClient(timeout=RELAY_TIMEOUT, trust_env=False) as client:
        return await ask_relays(client, urls, paused=paused, within=wait)


def shown(relays: list[RelayStatus]) -> list[dict[str, object]]:
    """The relays in the JSON output."""
    return [
        {"url": one.url, "paused": one.paused, "in_flight": one.in_flight, "problem": one.problem}
        for one in relays
    ]


def finish(
    document: dict[str, object],
    lines: list[str],
    relays: list[RelayStatus],
    *,
    paused: bool,
    as_json: bool,
) -> None:
    """Print the result; exit with `UNCONFIRMED` if a relay has not noticed."""
    late = [relay for relay in relays if relay.paused is not paused]
    if as_json:
        echo_json(document, indent=2)
    else:
        word = "paused" if paused else "resumed"
        confirmed = [one for one in relays if one not in late]
        echo(*lines, *(f"{one.url}: {word}, {one.in_flight} in flight" for one in confirmed))
    for relay in late:
        what = relay.problem or ("it is not paused" if paused else "it is still paused")
        echo(f"relay: {relay.url} has not confirmed: {what}", err=True)
    if late:
        raise typer.Exit(UNCONFIRMED)
