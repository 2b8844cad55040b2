"""Webhook: sends one signed POST for each event, with an idempotency key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from relay.destinations.http_endpoint import HttpAnswer, HttpEndpoint, unavailable
from relay.destinations.single_event import Content, content, header_id
from relay.destinations.webhook_rules import Preset, Rule, Verdict, verdict
from relay.destinations.webhook_signature import signed_headers
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import REFUSED, TOO_LARGE, Delivered, Outcome, Reject, Retry
from relay.model.traits import Traits

URL = "RELAY_WEBHOOK_URL"


def traits(preset: Preset, dedup_window: float | None) -> Traits:
    """The traits of a receiver that recognises a key for `dedup_window` seconds, 0 for never.

    With None, or a preset that recognises no key, they are the preset's.
    """
    if dedup_window is None or preset.traits.recognised_by is None:
        return preset.traits
    recognised_by = preset.traits.recognised_by if dedup_window else None
    return replace(preset.traits, recognised_by=recognised_by, dedup_window=dedup_window)


class Webhook:
    """Sends each event to one URL.

    Args:
        endpoint: the server of the whole URL.
        preset: the meaning of answers that no rule of `rules` matches.
        rules: the meaning of answers, tried before the preset's rules.
        keys: the signing keys, the newest first; none for no signature.
        headers: added to each request.
        what: send the whole event, or its data only.
        dedup_window: seconds for which the receiver recognises a key; None for the preset's.
        clock: the time of day, for the signature.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        preset: Preset,
        *,
        rules: Sequence[Rule] = (),
        keys: Sequence[bytes] = (),
        headers: Mapping[str, str] | None = None,
        what: Content = "event",
        dedup_window: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._rules = (*rules, *preset.rules)
        self._keys = tuple(keys)
        self._headers = dict(headers or {})
        self._what = what
        self._clock = clock
        self._traits = traits(preset, dedup_window)

    @property
    def traits(self) -> Traits:
        """The receiver's traits, as configured."""
        return self._traits

    def payload(self, event: Event) -> bytes:
        """The body of the request."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Send one POST; the rules give its outcome."""
        key = header_id(event.id)
        headers = {
            "content-type": "application/json",
            "idempotency-key": key,
            **signed_headers(key, int(self._clock()), payload, self._keys),
            **self._headers,
        }
        answer = await self._endpoint.request("POST", "", headers, payload)
        return _outcome(answer, verdict(self._rules, answer.status, answer.text))


def _outcome(answer: HttpAnswer, found: Verdict | None) -> Outcome:
    match found:
        case "delivered" | "duplicate":
            return Delivered(duplicate=found == "duplicate")
        case "reject":
            code = TOO_LARGE if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else REFUSED
            return Reject(code, f"the webhook refuses the event: {answer.summary}")
        case "retry":
            return Retry(f"the webhook asks to retry the event: {answer.summary}", answer.after)
        case "unavailable":
            raise Unavailable(f"the webhook answers {answer.summary}", after=answer.after)
        case "halt":
            raise Unavailable(f"the webhook answers {answer.summary}", setting=URL, proven=True)
    raise unavailable(answer, address=URL, key=None)
