"""A webhook of anybody's: one signed POST for each event, with a key by which to know it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from relay.destinations.http_endpoint import HttpAnswer, HttpPeer, unavailable
from relay.destinations.single_event import REFUSED, TOO_LARGE, Content, as_header, content
from relay.destinations.webhook_rules import Preset, Rule, Verdict, verdict
from relay.destinations.webhook_signature import signed_headers
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.model.traits import Traits

URL = "RELAY_WEBHOOK_URL"
STATUSES = "RELAY_WEBHOOK_STATUS_RULES"


def traits(preset: Preset, dedup_window: float | None) -> Traits:
    """What a receiver promises that is said to know a key again for so many seconds, 0 for never.

    None, or a preset that knows nothing again, leaves it at what the preset says.
    """
    if dedup_window is None or preset.traits.recognised_by is None:
        return preset.traits
    known = preset.traits.recognised_by if dedup_window else None
    return replace(preset.traits, recognised_by=known, dedup_window=dedup_window)


class Webhook:
    """Starts whatever listens at the URL.

    Args:
        peer: the server, of the whole URL.
        preset: how it answers where `rules` say nothing.
        rules: what its answers mean, before the preset's.
        keys: with which requests are signed, the newest first; none for no signature.
        headers: added to each request.
        what: the whole event, or its data only.
        remembered: seconds for which the receiver is said to know a key again.
        clock: the time of day, for the signature.
    """

    def __init__(
        self,
        peer: HttpPeer,
        preset: Preset,
        *,
        rules: Sequence[Rule] = (),
        keys: Sequence[bytes] = (),
        headers: Mapping[str, str] | None = None,
        what: Content = "event",
        dedup_window: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._peer = peer
        self._rules = (*rules, *preset.rules)
        self._keys = tuple(keys)
        self._headers = dict(headers or {})
        self._what = what
        self._clock = clock
        self._traits = traits(preset, dedup_window)

    @property
    def traits(self) -> Traits:
        """What the receiver is said to promise."""
        return self._traits

    def payload(self, event: Event) -> bytes:
        """The body of the request."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One POST; `Delivered` where a rule says so."""
        key = as_header(event.id)
        headers = {
            "content-type": "application/json",
            "idempotency-key": key,
            **signed_headers(key, int(self._clock()), payload, self._keys),
            **self._headers,
        }
        answer = await self._peer.ask("POST", "", headers, payload)
        return _outcome(answer, verdict(self._rules, answer.status, answer.text))


def _outcome(answer: HttpAnswer, found: Verdict | None) -> Outcome:
    match found:
        case "delivered" | "duplicate":
            return Delivered(duplicate=found == "duplicate")
        case "reject":
            code = TOO_LARGE if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else REFUSED
            return Reject(code, f"the webhook refuses the event: {answer.shown}")
        case "retry":
            return Retry(f"the webhook wants it later: {answer.shown}", answer.after)
        case "unavailable":
            raise Unavailable(f"the webhook answers {answer.shown}", after=answer.after)
        case "halt":
            raise Unavailable(f"the webhook answers {answer.shown}", setting=URL, proven=True)
    raise unavailable(answer, address=URL, key=None)
