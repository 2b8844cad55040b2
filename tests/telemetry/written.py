"""Facts, as the lines of the log that they become."""

from __future__ import annotations

import io
import json
from typing import Any

from relay.model.facts import Fact
from relay.model.message import Reject
from relay.telemetry.log import open_log
from relay.telemetry.log_observer import LogObserver, message_filter
from relay.telemetry.redaction import Redactor
from tests.telemetry.samples import NOW, tell

POISON = Reject("not_json", "the body is not JSON")


def written(*facts: Fact, messages: str = "all", payload: bool = False) -> list[dict[str, Any]]:
    """The lines of JSON that these facts become."""
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(
            log, message_filter=message_filter(messages), payload=payload, clock=lambda: NOW
        )
        tell(observer, *facts)
    return [json.loads(line) for line in screen.getvalue().splitlines()]
