"""A server that echoes what it was sent, escaped or in parts, does not give a secret away."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from urllib.parse import quote, quote_plus

import pytest

from relay.app.forwarding import open_forwarder
from relay.aws.session import SharedSession
from relay.model.destination import Destination, Unavailable
from relay.model.event import Event
from relay.model.facts import ignore
from relay.model.outcome import Delivered
from relay.settings.loading import load
from tests.destinations.wire import http, listening

SECRET = 'pl4n/ted"s3+cret'
KEY = "pl4n+ted=s3_cret"
"""An event key cannot have a slash or a quote."""

EVENT = Event(id="e-1", name="order/placed", data=b"{}")
SETTINGS = {
    "webhook": {"RELAY_WEBHOOK_HEADERS": f"x-key: {SECRET}", "RELAY_WEBHOOK_ALLOW_PRIVATE": "true"},
    "inngest": {"RELAY_INNGEST_EVENT_KEY": KEY, "RELAY_CONFIRM": "off"},
    "prefect": {"RELAY_PREFECT_API_KEY": f"user:{SECRET}", "RELAY_PREFECT_DEPLOYMENT": "a/b"},
    "argo": {"RELAY_ARGO_TOKEN": f"Bearer {SECRET}", "RELAY_ARGO_TEMPLATE": "t"},
}
URLS = {
    "webhook": "RELAY_WEBHOOK_URL",
    "inngest": "RELAY_INNGEST_URL",
    "prefect": "RELAY_PREFECT_API_URL",
    "argo": "RELAY_ARGO_URL",
}
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON with escaped slashes": lambda s: s.replace("/", "\\/"),
    "escaped": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "URL": lambda s: quote(s, safe=""),
    "form": quote_plus,
    "HTML": html.escape,
    "Basic": lambda s: base64.b64encode(f"user:{s}".encode()).decode(),
    "cut": lambda s: "x" * 150 + s,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("status", [400, 401, 500])
async def test_no_reason_contains_an_echoed_secret(name: str, form: str, status: int) -> None:
    secret = KEY if name == "inngest" else SECRET
    echo = FORMS[form](secret)
    answer = f'{{"status": {status}, "error": "bad: {echo}", "message": "bad: {echo}"}}'
    if form == "plain":
        answer = json.dumps({"status": status, "error": f"bad: {echo}", "message": echo})
    opened: list[Destination] = []

    def wrap(destination: Destination) -> Destination:
        opened.append(destination)
        return destination

    async with listening(http(status, answer)) as wire, AsyncExitStack() as stack:
        given = {"RELAY_DESTINATION": name, URLS[name]: wire.url, **SETTINGS[name]}
        loaded = load(given)
        assert loaded.errors == ()
        await open_forwarder(
            loaded.settings, stack, SharedSession(stack), wrap, ignore, pushed=False
        )
        try:
            [outcome] = await opened[0].send([EVENT])
            assert not isinstance(outcome, Delivered)
            shown = outcome.reason
        except Unavailable as error:
            shown = error.reason + str(error)
    for part in (secret, echo, echo[-10:], echo[:10].strip("x"), "pl4n", "cret"):
        assert not part or part not in shown, shown
