"""The server's own cache of GET answers."""

from __future__ import annotations

from collections import OrderedDict

from relay.local.inngest.request import TEXT, Reply, Request


class AnswerCache:
    """Keeps answers by URL and key until their time is over.

    A kept answer comes as plain text and without a `Cache-Control`: the real server's does too.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()

    def clear(self) -> None:
        """Forget all answers, as at a start."""
        self._kept.clear()

    def get(self, request: Request, now: float) -> Reply | None:
        """The kept answer to this request, if there is one."""
        until, body = self._kept.get(_key(request), (now, b""))
        return Reply(200, body, TEXT) if until > now else None

    def keep(self, request: Request, reply: Reply, now: float, seconds: float) -> None:
        """Keep an answer for so long."""
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
        key = _key(request)
        self._kept[key] = now + seconds, reply.body
        self._kept.move_to_end(key)


def _key(request: Request) -> tuple[str, str]:
    return request.target, request.headers.get("authorization", "")
