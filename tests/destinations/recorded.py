"""Recorded exchanges with orchestrators' own servers, and how to compare answers with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[1] / "recordings"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z")


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One line of a recording.

    `body` is the answer's, parsed where it is JSON.
    """

    server: str
    about: str
    method: str
    path: str
    headers: Mapping[str, str]
    sent: str
    status: int
    body: Any

    @property
    def content(self) -> bytes:
        """The answer's body as it travels."""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def exchanges(name: str) -> list[Exchange]:
    """The lines of the recording, in order."""
    lines = (RECORDINGS / name).read_text(encoding="utf-8").splitlines()
    return [_exchange(json.loads(line)) for line in lines]


def _exchange(line: Any) -> Exchange:
    request, response = line["request"], line["response"]
    return Exchange(
        server=line["server"],
        about=line["about"],
        method=request["method"],
        path=request["path"],
        headers=request["headers"],
        sent=_text(request["body"]),
        status=response["status"],
        body=response["body"],
    )


def _text(body: Any) -> str:
    if isinstance(body, dict):
        return "".join(text * times for text, times in body["parts"])
    return body or ""


Ask = Callable[[Exchange], tuple[int, Any]]
"""Asks a server the request of an exchange: the answer's status and its body."""


class Replay:
    """Asks a server the requests of a recording, in order.

    Ids in a request are those that this server gave where the recorded one gave its own.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._ids: dict[str, str] = {}

    def answer(self, exchange: Exchange) -> tuple[int, Any]:
        """The server's answer, with the recorded ids for its own."""
        status, body = self._ask(
            Exchange(
                **{
                    **vars(exchange),
                    "path": self._own(exchange.path),
                    "sent": self._own(exchange.sent),
                }
            )
        )
        self._ids.update(_pairs(exchange.body, body))
        return status, _renamed(body, {own: recorded for recorded, own in self._ids.items()})

    def _own(self, text: str) -> str:
        return UUID.sub(lambda found: self._ids.get(found[0], found[0]), text)


def _pairs(recorded: Any, given: Any) -> Iterator[tuple[str, str]]:
    """Ids in the same place of two answers."""
    match recorded, given:
        case {**one}, {**other}:
            for key in one.keys() & other.keys():
                yield from _pairs(one[key], other[key])
        case str(), str():
            if UUID.fullmatch(recorded) and UUID.fullmatch(given):
                yield recorded, given


def _renamed(body: Any, names: Mapping[str, str]) -> Any:
    text = UUID.sub(lambda found: names.get(found[0], found[0]), json.dumps(body))
    return json.loads(text)


def comparable(value: Any, ignoring: frozenset[str]) -> Any:
    """The answer without times, long texts and the fields of these names."""
    match value:
        case {"long": int()}:
            return "long"
        case {**fields}:
            return {k: comparable(v, ignoring) for k, v in fields.items() if k not in ignoring}
        case list():
            return [comparable(one, ignoring) for one in value]
        case str():
            return "long" if len(value) > 2_000 else TIME.sub("time", value)
    return value
