"""Reads the recording of a real Inngest server, and compares answers with it.

Ids and times of another run differ from the recorded ones. `Names` keeps which of this run's stands
for which recorded one, and writes the recorded requests in this run's names.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

Kind: TypeAlias = Literal["dev", "start"]

RECORDING = Path(__file__).parents[2] / "recordings" / "inngest-1.43.jsonl"
EVENT_KEY = "recordkey"
SIGNING_KEY = "abcdef0123456789"

AUDIT_RECORDING = RECORDING.with_name("inngest-1.43-audit.jsonl")
_RECORDED = tuple(
    (
        datetime(2026, 11, 30, *begun, tzinfo=UTC).timestamp() * 1000,
        datetime(2026, 11, 30, *ended, tzinfo=UTC).timestamp() * 1000,
    )
    for begun, ended in (((10, 57), (11, 2)), ((18, 22), (18, 24)))
)
"""When the two recordings were made, in milliseconds."""
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(rf"\b[0-7][{_DIGITS}]{{25}}\b", re.IGNORECASE)
_UUID = re.compile(r"(?!0{8}-)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")
_HEADERS = re.compile(r"content-type|cache-control|location|retry-after|x-inngest-.*")
_LONG_LIST = 20


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A recorded request and its answer. `number` counts the lines of the recording from 1."""

    number: int
    group: str
    about: str
    after: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answer: Answer

    @property
    def varies(self) -> bool:
        """Whether the real server answers it in one way or another, by chance."""
        return "(varies:" in self.about


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its headers that matter, and its body, parsed where it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @classmethod
    def of(cls, status: int, headers: dict[str, str], content: bytes) -> Answer:
        """The answer that was just received."""
        kept = {name.lower(): value for name, value in headers.items()}
        text = content.decode()
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        return cls(status, {n: v for n, v in kept.items() if _HEADERS.fullmatch(n)}, body)

    def without(self, field: str) -> Answer:
        """The same answer without a field of its body."""
        body = {name: value for name, value in self.body.items() if name != field}
        return Answer(self.status, self.headers, body)


def exchanges(kind: Kind, recording: Path = RECORDING) -> Iterator[Exchange]:
    """The recorded exchanges with a server of this kind, in order."""
    # Not `splitlines`: a recorded text contains U+2028.
    for number, line in enumerate(recording.read_bytes().splitlines(), 1):
        read = json.loads(line)
        if read["server"] == kind:
            request, answer = read["request"], read["response"]
            yield Exchange(
                number=number,
                group=read["group"],
                about=read["about"],
                after=read.get("after", ""),
                method=request["method"],
                path=request["path"],
                headers=request["headers"],
                body=_body(request["body"]),
                answer=Answer(answer["status"], answer["headers"], answer["body"]),
            )


def _body(recorded: Any) -> bytes:
    if isinstance(recorded, dict):
        if "base64" in recorded:
            return base64.b64decode(str(recorded["base64"]))
        middle = recorded.get("join", "").join([recorded["repeat"]] * recorded["times"])
        body: bytes = (recorded["open"] + middle + recorded["close"]).encode()
        assert len(body) == recorded["bytes"]
        return body
    return str(recorded or "").encode()


@dataclass
class Names:
    """What stands in this run for the ids and times of the recording."""

    known: dict[str, str] = field(default_factory=dict)

    def path(self, exchange: Exchange) -> str:
        """The path of a recorded request, with the ids and times of this run."""
        path = _ULID.sub(self._ulid, exchange.path)
        path = _TIME.sub(lambda time: self.known.get(_canonical(time[0]), time[0]), path)
        before, cursor, recorded = path.partition("cursor=ey")
        opaque = next((known for known in self.known if quote(known) == f"ey{recorded}"), None)
        return path if opaque is None else f"{before}{cursor[:-2]}{quote(self.known[opaque])}"

    def _ulid(self, match: re.Match[str]) -> str:
        recorded = match[0].upper()
        name = self.known.get(recorded)
        before = self.known.get(_shifted(recorded, -1))
        if name is None and before is not None and not _fixed(recorded):
            name = _shifted(before, 1)
        name = name or recorded
        return name.lower() if match[0].islower() else name

    def differences(self, expected: Answer, answer: Answer, exchange: Exchange) -> list[str]:
        """How this answer to the exchange differs from the expected one; learns its names."""
        found = []
        if answer.status != expected.status:
            found.append(f"status {answer.status}, not {expected.status}")
        found += [
            f"{name}: {answer.headers.get(name)}, not {expected.headers.get(name)}"
            for name in sorted(expected.headers.keys() | answer.headers.keys())
            if expected.headers.get(name) != answer.headers.get(name)
        ]
        return found + self._bodies(expected.body, answer.body, exchange)

    def _bodies(self, expected: Any, body: Any, exchange: Exchange) -> list[str]:
        if "in either order" not in exchange.about:
            return list(self._compare(expected, body, ""))
        found: list[str] = []
        for data in permutations(expected["data"]):
            names = Names(dict(self.known))
            found = list(names._compare(expected | {"data": list(data)}, body, ""))
            if not found:
                self.known = names.known
                break
        return found

    def _compare(self, expected: Any, got: Any, at: str) -> Iterator[str]:
        if isinstance(expected, dict) and expected.keys() == {"count", "empty", "first", "last"}:
            yield from _long_list(expected, got, at)
        elif isinstance(expected, dict) and isinstance(got, dict):
            yield from self._objects(expected, got, at)
        elif isinstance(expected, list) and isinstance(got, list):
            yield from self._lists(expected, got, at)
        elif isinstance(expected, str) and isinstance(got, str):
            yield from self._texts(expected, got, at)
        elif not (type(expected) is type(got) and (expected == got or _of_this_run(at, expected))):
            yield f"{at or 'body'}: {_short(got)}, not {_short(expected)}"

    def _objects(self, expected: dict[str, Any], got: dict[str, Any], at: str) -> Iterator[str]:
        for name in sorted(expected.keys() | got.keys()):
            if name not in expected or name not in got:
                yield f"{at}.{name}: {'missing' if name in expected else 'not expected'}"
            else:
                yield from self._compare(expected[name], got[name], f"{at}.{name}")
        if "cached_until" in expected and "cached_until" in got and _kept(expected) != _kept(got):
            yield f"{at}: cached for {_kept(got)} s, not {_kept(expected)}"

    def _lists(self, expected: list[Any], got: list[Any], at: str) -> Iterator[str]:
        if len(expected) != len(got):
            yield f"{at}: {len(got)} elements, not {len(expected)}"
        for position, (one, other) in enumerate(zip(self._in_order(expected), got, strict=False)):
            yield from self._compare(one, other, f"{at}[{position}]")

    def _in_order(self, expected: list[Any]) -> list[Any]:
        """Events of one millisecond have ULIDs in any order: sort them as this run's ids are."""
        ids = [one.get("internal_id") if isinstance(one, dict) else None for one in expected]
        if not ids or any(one not in self.known for one in ids):
            return expected
        return sorted(expected, key=lambda one: self.known[one["internal_id"]], reverse=True)

    def _texts(self, expected: str, got: str, at: str) -> Iterator[str]:
        if _ULID.fullmatch(expected) and _ULID.fullmatch(got) and not _fixed(expected):
            same = self._same_name(expected, got, unique=True)
        elif _TIME.fullmatch(expected) and _TIME.fullmatch(got):
            fetched = at.endswith(("fetched_at", "fetchedAt"))
            same = self._same_name(_canonical(expected), _canonical(got), unique=fetched)
        elif at.endswith(".cursor") or (_UUID.fullmatch(expected) and _UUID.fullmatch(got)):
            same = self._same_name(expected, got, unique=True)
        elif at.endswith(".durationMs"):
            same = got.isdecimal()
        else:
            same = expected.replace("\xa0", " ") == got.replace("\xa0", " ")
        if not same:
            known = self.known.get(expected, expected)
            yield f"{at or 'body'}: {_short(got)}, not {_short(known)}"

    def _same_name(self, expected: str, got: str, *, unique: bool) -> bool:
        known = self.known.get(expected)
        if known is not None:
            return known == got
        if unique and got in self.known.values():
            return False
        self.known[expected] = got
        return True


def _long_list(expected: dict[str, Any], got: Any, at: str) -> Iterator[str]:
    """A list of more than 20 ids was recorded as its length and its ends."""
    if not (isinstance(got, list) and len(got) > _LONG_LIST):
        yield f"{at}: {_short(got)}, not {expected['count']} ids"
    elif (len(got), got.count("")) != (expected["count"], expected["empty"]):
        yield f"{at}: {len(got)} ids, not {expected['count']}"


def _fixed(ulid: str) -> bool:
    """Whether it was not made when it was recorded: it comes from a seed, or never existed."""
    value = 0
    for digit in ulid.upper()[:10]:
        value = value * 32 + _DIGITS.index(digit)
    return not _when_recorded(value)


def _when_recorded(milliseconds: int) -> bool:
    return any(begun <= milliseconds <= ended for begun, ended in _RECORDED)


def _canonical(time: str) -> str:
    """The same time without zeros at its end: the API v1 leaves them out, v2 does not."""
    return f"{time[:-1].rstrip('0').rstrip('.')}Z" if "." in time else time


def _shifted(ulid: str, by: int) -> str:
    value = sum(_DIGITS.index(digit) << (5 * at) for at, digit in enumerate(reversed(ulid))) + by
    return "".join(_DIGITS[(value >> shift) & 31] for shift in range(125, -1, -5))


def _of_this_run(at: str, expected: Any) -> bool:
    """Whether it is a port of the server, or the time of the recording in milliseconds."""
    return type(expected) is int and (at.lower().endswith("port") or _when_recorded(expected))


def _kept(metadata: dict[str, Any]) -> float | None:
    times = [str(metadata[name]) for name in ("fetched_at", "cached_until")]
    if not all(map(_TIME.fullmatch, times)):
        return None
    fetched, until = (datetime.fromisoformat(time).timestamp() for time in times)
    return round(until - fetched, 1)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 200 else f"{text[:100]} … {len(text)} characters"
