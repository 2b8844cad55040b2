"""Why a target is missed: the texts that stand beside it in the tables, all in one place.

A text explains a miss that was looked into. `UNKNOWN` says that none was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

UNKNOWN = "not looked into yet"

REASONS: Mapping[str, str] = {
    r"pull: CPU against floor": (
        "by a profile, receiving and deleting, which is all that the floor does, is a quarter of"
        " what a message takes, and decoding a fifth; no other part is a tenth"
    ),
    r"pull, events of 100 KB: CPU against floor": (
        "the floor reads no event and sends none; by a profile, decoding and validating is two"
        " fifths of what the relay takes"
    ),
    r"(pull|TLS), .*: CPU against Bento": (
        "Bento is compiled, validates no event, and keeps neither ids nor a log line for each; from"
        " 2 KB on it takes more than the relay"
    ),
    r"(pull|TLS), events of (300 B|2 KB).*: peak memory against Bento": (
        "an idle Python with what the relay imports takes 56 MB, as much as a busy Bento"
    ),
    r"(pull|TLS), .*: peak memory against Bento": (
        "the relay may have 64 MB of messages in flight, Bento with one input has ten messages"
    ),
    r"push: CPU against a web worker": (
        "each message is a request: by a profile, reading and answering it is half of the CPU"
    ),
    r"memory: idle, .*": "Python itself, uvloop, pydantic and botocore are most of it",
    r"start: CPU of relay --help": (
        "importing typer and rich, which draw the text, takes nine tenths of it"
    ),
    r"start: CPU to the first delivery, Lambda, cold": (
        "importing is half of it: pydantic, httpx, Powertools and the relay itself"
    ),
    r"start: CPU to the first delivery, .*": (
        "importing is most of it: pydantic, typer, botocore, uvloop and the relay itself"
    ),
    r"processes: CPU of two against one": (
        "on two CPUs both share the one that the servers leave free; two relays that share it take"
        " more, see the table of growth"
    ),
    r"gateway: latency .*": (
        "an absolute time: compare it with that of SQS's own answer in the same run"
    ),
    r"telemetry: .*": (
        "a turn differs from the next by a tenth and more on a shared machine; by the count of"
        " instructions metrics add 3 % and log lines 4 %, as the rest takes less than it used to"
    ),
}
"""By a pattern that matches the whole name of the target."""


def reason_of(target: str) -> str:
    """Why a run may miss this target."""
    return next((text for name, text in REASONS.items() if re.fullmatch(name, target)), UNKNOWN)
