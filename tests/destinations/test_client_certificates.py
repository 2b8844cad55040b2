"""The webhook over TLS: it sends its client certificate and trusts the configured CA."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from relay.model.destination import Destination, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered
from tests.destinations import certificates
from tests.destinations.certificates import Certificates
from tests.destinations.conformance.setups import opened
from tests.destinations.wire import Wire, http, listening

EVENT = Event(id="e-1", name="order/placed", data=b"{}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.made(tmp_path_factory.mktemp("certificates"))


@asynccontextmanager
async def hooked(made: Certificates, *withheld: str) -> AsyncIterator[tuple[Wire, Destination]]:
    """A receiver that requires a client certificate, and the webhook without the withheld files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(made.authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(made.server.certificate, made.server.key)
    files = {
        "CERT_FILE": made.client.certificate,
        "KEY_FILE": made.client.key,
        "CA_FILE": made.authority,
    }
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(listening(http(200), tls=context))
        variables = {
            "RELAY_WEBHOOK_URL": f"https://127.0.0.1:{wire.port}/hook",
            "RELAY_WEBHOOK_ALLOW_PRIVATE": "true",
            **{
                f"RELAY_WEBHOOK_{name}": str(path)
                for name, path in files.items()
                if name not in withheld
            },
        }
        destination, _ = await opened(stack, "webhook", variables)
        yield wire, destination


async def test_a_receiver_that_requires_a_client_certificate_gets_it(made: Certificates) -> None:
    async with hooked(made) as (wire, destination):
        assert await destination.send([EVENT]) == [Delivered()]
        assert len(wire.requests) == 1


async def test_without_the_required_client_certificate_nothing_is_sent(made: Certificates) -> None:
    async with hooked(made, "CERT_FILE", "KEY_FILE") as (wire, destination):
        with pytest.raises(Unavailable):
            await destination.send([EVENT])
        assert wire.requests == []


async def test_an_unknown_ca_halts(made: Certificates) -> None:
    async with hooked(made, "CA_FILE") as (wire, destination):
        with pytest.raises(Unavailable, match="set RELAY_WEBHOOK_CA_FILE to the file") as caught:
            await destination.send([EVENT])
        assert caught.value.setting == "RELAY_WEBHOOK_CA_FILE"
        assert wire.requests == []
