"""Why a target is missed: the texts that stand beside it in the tables, all in one place.

A text explains a miss that was looked into. `UNKNOWN` says that none was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

UNKNOWN = "not looked into yet"

REASONS: Mapping[str, str] = {
    r"pull: CPU against floor": (
        "receiving and deleting, which is all that the floor does, is a fifth of what a message"
        " takes; the rest is decoding, ids, isolation, leases and its log line"
    ),
    r"pull, events of 100 KB: CPU against floor": (
        "each event is validated and sent on, and the floor reads none and sends none"
    ),
    r"(pull|TLS), .*: CPU against Bento": (
        "Bento is compiled, validates no event, and keeps neither ids nor a log line for each"
    ),
    r"(pull|TLS), .*: peak memory against Bento": (
        "an idle Python process with uvloop, pydantic and botocore takes more than a busy Bento"
    ),
    r"memory: idle, .*": "Python itself, uvloop, pydantic and botocore are most of it",
    r"telemetry: .*": (
        "a turn differs from the next by a tenth and more on a shared machine; by the count of"
        " instructions it is met"
    ),
}
"""By a pattern that matches the whole name of the target."""


def reason_of(target: str) -> str:
    """Why a run may miss this target."""
    return next((text for name, text in REASONS.items() if re.fullmatch(name, target)), UNKNOWN)
