"""The page of one dead letter: its events, its body, its history, and what a redrive would do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from relay.console.access import Refused
from relay.console.dead_letters import PATH as LIST
from relay.console.rendering import Renderer
from relay.console.snapshots import Loaded, Snapshots
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.prediction import MEANING, LedgerState, Prediction
from relay.dlq.statistics import Expiry, expiry
from relay.model.encoded_body import decode_body
from relay.model.event import Event
from relay.model.message import Attribute
from relay.model.outcome import Reject

PATH = "/dead-letter"

MAX_SHOWN = 65_536
"""Bytes of a body that a page shows. The rest can be downloaded."""

MAX_DEPTH = 50
"""Levels of JSON that are indented. Indented, a deep body may be a thousand times as large."""

_BRACKET = re.compile(rb"[\[\]{}]")

Predict: TypeAlias = Callable[
    [DeadLetter], Awaitable[tuple[Prediction, Sequence[LedgerState | None] | None]]
]
"""The prediction, with what the ledger has about each event; None if it was not read."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A body as text. Bytes that are no UTF-8 are escapes in it; numbers are as they were sent.

    `size` counts the bytes of all of it, and `cut` says whether the text is only the beginning.
    """

    text: str
    size: int
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A dead letter as its page shows it."""

    dead_letter: DeadLetter
    prediction: Prediction
    meaning: str
    events: Sequence[tuple[Event, Payload, LedgerState | None]]
    rejection: Reject | None
    body: Payload
    decoded: Payload | None
    attributes: Sequence[tuple[str, str, str]]
    expires: Expiry | None
    facts: Sequence[tuple[str, str]]


class DeadLetterPage:
    """Shows the dead letters with an id.

    Args:
        renderer: makes the pages.
        snapshots: hold the current snapshot.
        predict: predicts, with a look at the ledger.
    """

    def __init__(self, renderer: Renderer, snapshots: Snapshots, predict: Predict) -> None:
        self._renderer = renderer
        self._snapshots = snapshots
        self._predict = predict

    def routes(self) -> Sequence[BaseRoute]:
        """The page, and the body as a file."""
        return (
            Route(PATH, self._page, name="dead_letter"),
            Route(f"{PATH}/body", self._body, name="dead_letter_body"),
        )

    async def _page(self, request: Request) -> Response:
        loaded, ident = self._snapshots.current, request.query_params.get("id", "")
        if loaded is None:
            return RedirectResponse(self._renderer.link(LIST), status_code=303)
        dead_letters = await self._find(loaded, ident)
        shown = [await self._shown(one, loaded) for one in dead_letters]
        return self._renderer.page(
            "dead_letter.html",
            "dead_letters",
            snapshot=loaded,
            ident=ident,
            shown=shown,
            command=shlex.join(["relay", "dlq", "show", ident, str(loaded.path)]),
        )

    async def _body(self, request: Request) -> Response:
        loaded, ident = self._snapshots.current, request.query_params.get("id", "")
        messages = await loaded.index.find(ident) if loaded else []
        if not messages:
            raise _not_here(ident)
        return Response(
            messages[0].body,
            media_type="application/octet-stream",
            headers={"content-disposition": 'attachment; filename="dead-letter-body"'},
        )

    async def _find(self, loaded: Loaded, ident: str) -> list[DeadLetter]:
        messages = await loaded.index.find(ident)
        if not messages:
            raise _not_here(ident)
        return await self._snapshots.read(loaded, messages)

    async def _shown(self, dead_letter: DeadLetter, loaded: Loaded) -> Shown:
        prediction, states = await self._predict(dead_letter)
        decoded, message = dead_letter.decoded, dead_letter.message
        unread = dead_letter.payload_unread
        return Shown(
            dead_letter=dead_letter,
            prediction=prediction,
            meaning=MEANING[prediction],
            events=[
                (event, payload(event.wire), state)
                for event, state in zip(
                    dead_letter.events, states or [None] * len(dead_letter.events), strict=True
                )
            ],
            rejection=decoded if isinstance(decoded, Reject) and not unread else None,
            body=payload(message.body),
            decoded=_decoded(dead_letter),
            attributes=[(name, *_attribute(one)) for name, one in message.attributes.items()],
            expires=expiry(message, loaded.head.retention, fifo=loaded.head.fifo),
            facts=list(_facts(dead_letter)),
        )


def _not_here(ident: str) -> Refused:
    return Refused(
        404,
        "no_such_dead_letter",
        f"the snapshot has no dead letter with the id {ident[:200]}: take a new one, or search",
    )


def payload(body: bytes) -> Payload:
    """A body to show: JSON is indented, and each number stays as its producer wrote it."""
    shown, size = body, len(body)
    if size <= MAX_SHOWN and _depth(body) <= MAX_DEPTH:
        try:
            shown = msgspec.json.format(body, indent=2)
        except (ValueError, RecursionError):
            shown = body
    cut = len(shown) > MAX_SHOWN
    return Payload(shown[:MAX_SHOWN].decode("utf-8", "backslashreplace"), size, cut)


def _depth(body: bytes) -> int:
    """How deep JSON is nested; brackets in strings count too, so it may be less."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(body):
        depth += 1 if bracket[0] in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _decoded(dead_letter: DeadLetter) -> Payload | None:
    """The body without the encoding that the relay gave it; None where it gave none."""
    encoding = dead_letter.origin.encoding if dead_letter.origin else None
    if encoding is None:
        return None
    try:
        return payload(decode_body(dead_letter.message.body, encoding))
    except ValueError:
        return None


def _attribute(attribute: Attribute) -> tuple[str, str]:
    value = attribute.value
    text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
    return attribute.data_type, text


def _facts(dead_letter: DeadLetter) -> Iterator[tuple[str, str]]:
    """What is known about it besides its times, as pairs of a label and a text."""
    message, origin, pointer = dead_letter.message, dead_letter.origin, dead_letter.pointer
    found: dict[str, Any] = {
        "MessageId": message.message_id,
        "Base id": dead_letter.base_id,
        "Source queue": dead_letter.source,
        "Times dead-lettered": dead_letter.hops or None,
        "Receive count": message.receive_count,
        "Message group": message.group_id,
        "Payload": f"s3://{pointer.bucket}/{pointer.key}" if pointer else None,
        "Encoding": origin.encoding if origin else None,
        "Generation": (origin.generation or None) if origin else None,
        "Lost on the way": ", ".join(origin.lost) if origin else None,
    }
    yield from ((label, str(value)) for label, value in found.items() if value)
