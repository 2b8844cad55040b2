"""Floods of ten megabytes of messages that a producer made to hurt, or by mistake."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from relay.delivery.payloads import POINTER_CLASSES
from relay.model.origin import Origin

MEGABYTE = 1_000_000
TOTAL = 10 * MEGABYTE


@dataclass(frozen=True)
class Sent:
    """A message's body, and its attribute `relay-origin` if it has one."""

    body: str
    origin: str | None = None

    @property
    def size(self) -> int:
        """Its bytes in the queue."""
        return len(self.body) + len(self.origin or "")


def _event(**data: object) -> str:
    return json.dumps({"name": "a/b", "data": data}, separators=(",", ":"))


def _filled(piece: str, size: int, start: str, end: str, between: str = ",") -> str:
    count = (size - len(start) - len(end)) // (len(piece) + len(between))
    return start + between.join([piece] * count) + end


def _large_events() -> Iterator[Sent]:
    """Honest events of a megabyte."""
    while True:
        yield Sent(_event(text="x" * (MEGABYTE - 100)))


def _compressed() -> Iterator[Sent]:
    """Bodies of 20 KB that unpack to a megabyte."""
    while True:
        noise = base64.b64encode(random.randbytes(11_000)).decode()
        text = _event(noise=noise, text="x" * (1_048_576 - 16_000))
        yield _packed(text.encode())


def _bombs() -> Iterator[Sent]:
    """Bodies of 20 KB that unpack to fifteen megabytes."""
    bomb = _packed(_event(text="x" * 15 * MEGABYTE).encode())
    while True:
        yield bomb


def _packed(body: bytes) -> Sent:
    packed = base64.b64encode(gzip.compress(body, compresslevel=1)).decode()
    return Sent(packed, Origin(id="m", encoding="gzip+base64").pack())


def _small_events() -> Iterator[Sent]:
    """Arrays of as many events as a message may have."""
    array = "[" + ",".join(['{"name":"a/b"}'] * 5_000) + "]"
    while True:
        yield Sent(array)


def _reasons() -> Iterator[Sent]:
    """Pointers into a bucket that the settings do not name, whose name is 900 KB long."""
    while True:
        yield Sent(json.dumps([POINTER_CLASSES[0], {"s3BucketName": "b" * 900_000, "s3Key": "k"}]))


def _deep() -> Iterator[Sent]:
    while True:
        body = _filled("[" * 90 + "]" * 90, MEGABYTE, '{"name":"a/b","data":{"a":[', "]}}")
        yield Sent(body)
        yield Sent("[" * MEGABYTE)


def _repeated_keys() -> Iterator[Sent]:
    while True:
        yield Sent(_filled('"k":1', MEGABYTE, '{"name":"a/b",', "}"))
        yield Sent(_filled('"k":1', MEGABYTE, '{"name":"a/b","data":{', "}}"))
        yield Sent(_filled("{}", MEGABYTE, '{"name":"a/b","k":1,"k":1,"data":{"a":[', "]}}"))


def _origins() -> Iterator[Sent]:
    """Origins of half a megabyte, with as many positions as a message can have events."""
    positions = ",".join(map(str, range(75_000)))
    while True:
        yield Sent('[{"name":"a/b"}]', '{"version":1,"id":"m","pending":[' + positions + "]}")


KINDS = {
    "events of a megabyte": _large_events,
    "compressed bodies": _compressed,
    "bombs": _bombs,
    "many small events": _small_events,
    "reasons of 900 KB": _reasons,
    "deep nesting": _deep,
    "repeated keys": _repeated_keys,
    "large origins": _origins,
}


def flood(kind: str) -> list[Sent]:
    """Ten megabytes of messages of this kind."""
    found, size = list[Sent](), 0
    for one in KINDS[kind]():
        size += one.size
        if size > TOTAL:
            return found
        found.append(one)
    raise AssertionError(kind)  # the iterators do not end
