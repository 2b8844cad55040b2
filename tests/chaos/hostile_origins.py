"""Messages whose producer wrote the relay's own attribute, by mistake or to do harm."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from relay.local.demo import samples
from relay.local.demo.samples import SampleMessage, fixed_id, message_id_plus
from tests.chaos.dead_letters import ORIGIN
from tests.chaos.traffic import GROUPS, traffic

SHARE = 0.3
"""The share of such messages. It stays below that from which the reject guard halts."""

NAME = samples.EVENT_NAMES[1]

UNREADABLE: Sequence[str] = (
    "[[[",
    "[]",
    "hostile",
    '{"version":2,"id":"x"}',
    '{"version":1}',
    '{"version":1,"id":7}',
    '{"version":1,"id":"x","hops":"many"}',
    '{"version":1,"id":"x","hops":-1}',
    '{"version":1,"id":"x","hops":true}',
    '{"version":1,"id":"x","pending":"all"}',
    '{"version":1,"id":"x","sent_at":NaN}',
    '{"version":1,"id":"x","lost":{}}',
    '{"version":1,"id":"x","task":["nightly"]}',
    '{"version":1,"id":"x","generation":' + "9" * 300 + "}",
    '{"version":1,"id":"x","hops":' + "9" * 5_000 + "}",
    '{"version":1,"id":' * 5_000,
    '{"version":1,"id":"x","z":' + "[" * 9_000 + "]" * 9_000 + "}",
)
"""Nothing of them is read: the message is rejected as `bad_origin`, under its MessageId."""

Hostile: TypeAlias = Callable[[random.Random, int], Iterator[SampleMessage]]


def hostile_origins(chance: random.Random, count: int) -> list[SampleMessage]:
    """Traffic with hostile origins among ordinary messages."""
    found = list[SampleMessage]()
    for number, ordinary in enumerate(traffic(chance, count)):
        if chance.random() < SHARE:
            hostile = chance.choice(KINDS)(chance, number)
            found += [replace(one, group=f"g{number % GROUPS}") for one in hostile]
        else:
            found.append(ordinary)
    return found


def _with_origin(message: SampleMessage, **fields: Any) -> SampleMessage:
    origin = json.dumps({"version": 1, **fields})
    return replace(message, kind="hostile origin", attributes={ORIGIN: origin})


def _running(message: SampleMessage, *event_ids: str, **fields: Any) -> SampleMessage:
    """The message is delivered, with these ids."""
    return replace(_with_origin(message, **fields), runs=tuple(map(fixed_id, event_ids)))


def _rejected(body: str, event_id: str, code: str, **fields: Any) -> SampleMessage:
    message = SampleMessage(
        kind="hostile origin", body=body, rejected=(fixed_id(event_id),), code=code
    )
    return _with_origin(message, id=event_id, **fields)


def _unreadable(chance: random.Random, number: int) -> Iterator[SampleMessage]:
    yield SampleMessage(
        kind="hostile origin",
        body=samples.event_without_id(NAME, number).body,
        rejected=(message_id_plus(),),
        code="bad_origin",
        attributes={ORIGIN: chance.choice(UNREADABLE)},
    )


def _bomb(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    """It unpacks to fifteen megabytes."""
    yield _rejected(_packed_bomb(), f"bomb-{number}", "unpacked_too_large", encoding="gzip+base64")


@functools.cache
def _packed_bomb() -> str:
    event = json.dumps({"name": NAME, "data": {"text": "x" * 15_000_000}})
    return base64.b64encode(gzip.compress(event.encode(), mtime=0)).decode()


def _broken_body(chance: random.Random, number: int) -> Iterator[SampleMessage]:
    """It cannot be decoded as the origin says."""
    packed = base64.b64encode(gzip.compress(b'{"name": "demo/one"}', mtime=0)).decode()
    body, encoding = chance.choice(
        (
            (packed[:-3], "base64"),
            (packed[: len(packed) // 8 * 4], "gzip+base64"),
            (f"{packed}{packed}", "gzip+base64"),
            (packed, "rot13"),
            ("x" * 5_001, "base64"),
        )
    )
    yield _rejected(body, f"broken-{number}", "bad_origin", encoding=encoding)


def _truncated(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    """It says that only the beginning of its body was kept."""
    body = samples.event_without_id(NAME, number).body
    yield _rejected(body, f"truncated-{number}", "body_truncated", encoding="truncated")


def _stolen(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    """It has the id of another event of the same name: the same event, as far as ids tell."""
    victim = samples.event_with_id(NAME, number)
    thief = samples.event_without_id(NAME, number)
    yield _running(thief, f"order-{number}", id=f"order-{number}")
    yield victim


def _absurd(chance: random.Random, number: int) -> Iterator[SampleMessage]:
    """Values that are read, and cut to size."""
    name = f"absurd-{number}"
    fields = chance.choice(
        (
            {"hops": 10**300},
            {"source": "s" * 20_000, "code": "c" * 20_000, "reason": "\x1b[31m" * 5_000},
            {"lost": ["l" * 900] * 50},
            {"sent_at": 0},
            {"hops": 10**6, "may_have_run": True, "unknown": [[[]]]},
        )
    )
    yield _running(samples.event_without_id(NAME, number), name, id=name, **fields)


def _long_id(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    long = f"{number}-" * 500
    name = f"sha256:{hashlib.sha256(long.encode()).hexdigest()}"
    yield _running(samples.event_without_id(NAME, number), name, id=long)


def _generation(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    message = samples.event_without_id(NAME, number)
    yield _running(message, f"again-{number}.r3", id=f"again-{number}", generation=3)


def _encoded(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    """A body that is encoded as the origin says."""
    message = samples.event_without_id(NAME, number)
    packed = base64.b64encode(gzip.compress(message.body.encode(), mtime=0)).decode()
    name = f"encoded-{number}"
    yield _running(replace(message, body=packed), name, id=name, encoding="gzip+base64")


def _undecoded(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    message = samples.sns_notification(NAME, number)
    own = json.loads(message.body)["MessageId"]
    yield _running(message, own, id="undecoded", undecoded=True)


def _pending(_chance: random.Random, number: int) -> Iterator[SampleMessage]:
    """An array of which the first two events are to be sent."""
    message = samples.array(NAME, number)
    base = f"part-{number}"
    yield _running(message, f"{base}.0", f"line-{number}", id=base, pending=[0, 1])


KINDS: Sequence[Hostile] = (
    _unreadable,
    _unreadable,
    _bomb,
    _broken_body,
    _truncated,
    _stolen,
    _absurd,
    _long_id,
    _generation,
    _encoded,
    _undecoded,
    _pending,
)
