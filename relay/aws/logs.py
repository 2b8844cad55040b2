"""Logs of CloudWatch, searched for a word."""

from __future__ import annotations

import json
from typing import Any

from relay.aws.errors import translate
from relay.aws.session import Session

PAGES = 200
"""A page can be empty and still have a next one: CloudWatch searches a part of the group a page."""


async def search_logs(
    session: Session, group: str, word: str, since: float, *, pages: int = PAGES
) -> tuple[list[str], bool]:
    """The lines since then (epoch seconds) that hold the word, and whether all were looked at.

    Raises:
        QueueError: there is no such group, or it may not be read.
    """
    client = await session.client("logs")
    # In quotes a pattern is a piece of text, whatever is in it.
    request: dict[str, Any] = {
        "logGroupName": group,
        "filterPattern": json.dumps(word, ensure_ascii=False),
        "startTime": int(since * 1_000),
    }
    lines: list[str] = []
    for _ in range(pages):
        try:
            answer = await client.filter_log_events(**request)
        except Exception as error:
            raise translate(error, "logs:FilterLogEvents", group) from error
        lines += [str(event["message"]) for event in answer.get("events", ())]
        if not answer.get("nextToken"):
            return lines, True
        request["nextToken"] = answer["nextToken"]
    return lines, False
