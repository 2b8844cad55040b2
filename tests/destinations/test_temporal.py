"""Temporal over real gRPC: client certificates, and signals to the workflow of an order."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.local.orchestrators.apis import missing_dependency
from relay.local.orchestrators.temporal import Frontend
from relay.model.destination import Destination, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Reject
from tests.destinations import certificates
from tests.destinations.conformance.setups import opened

pytestmark = pytest.mark.skipif(
    missing_dependency("temporal") is not None, reason=str(missing_dependency("temporal"))
)

SIGNALS = {
    "RELAY_TEMPORAL_SIGNAL": "order-changed",
    "RELAY_TEMPORAL_WORKFLOW_ID_PATH": "data.orderId",
}


def event(event_id: str, order: Any) -> Event:
    data = json.dumps({"orderId": order}).encode()
    return Event(id=event_id, name="order/changed", data=data)


@asynccontextmanager
async def destination_of(front: Frontend, **variables: str) -> AsyncIterator[Destination]:
    async with AsyncExitStack() as stack:
        found, _ = await opened(stack, "temporal", {**front.settings, **variables})
        yield found


def _secured(made: certificates.Certificates) -> Frontend:
    # By name, because a type checker may run where the extra is not installed.
    grpc: Any = importlib.import_module("grpc")
    credentials = grpc.ssl_server_credentials(
        [(made.server.key.read_bytes(), made.server.certificate.read_bytes())],
        root_certificates=made.authority.read_bytes(),
        require_client_auth=True,
    )
    return Frontend(credentials)


async def test_the_client_certificate_is_sent_and_the_servers_is_verified(tmp_path: Path) -> None:
    made = certificates.made(tmp_path)
    async with _secured(made) as front, destination_of(front, **_ours(made)) as destination:
        (outcome,) = await destination.send([event("e-1", "o-1")])
        assert isinstance(outcome, Delivered)
        assert front.callers == {certificates.CLIENT}


def _ours(made: certificates.Certificates) -> dict[str, str]:
    return {
        "RELAY_TEMPORAL_CERT_FILE": str(made.client.certificate),
        "RELAY_TEMPORAL_KEY_FILE": str(made.client.key),
        "RELAY_TEMPORAL_CA_FILE": str(made.authority),
    }


@pytest.mark.parametrize(
    ("withheld", "setting"),
    [
        ("CA_FILE", "RELAY_TEMPORAL_CA_FILE"),
        ("CERT_FILE", None),
        ("", None),
    ],
)
async def test_a_failed_tls_handshake_sends_nothing(
    tmp_path: Path, withheld: str, setting: str | None
) -> None:
    made = certificates.made(tmp_path)
    rest = {name: path for name, path in _ours(made).items() if withheld and withheld not in name}
    async with _secured(made) as front, destination_of(front, **rest) as destination:
        with pytest.raises(Unavailable) as caught:
            await destination.send([event("e-1", "o-1")])
        assert caught.value.setting == setting
        assert caught.value.proven
        assert caught.value.not_accepted
        assert not front.starts.started


async def test_a_missing_certificate_file_halts_and_a_renewed_one_is_used(tmp_path: Path) -> None:
    made = certificates.made(tmp_path)
    async with _secured(made) as front, destination_of(front, **_ours(made)) as destination:
        kept = made.client.key.read_bytes()
        made.client.key.unlink()
        with pytest.raises(Unavailable) as caught:
            await destination.send([event("e-1", "o-1")])
        assert caught.value.setting == "RELAY_TEMPORAL_KEY_FILE"
        assert caught.value.not_accepted
        made.client.key.write_bytes(kept)
        assert isinstance((await destination.send([event("e-1", "o-1")]))[0], Delivered)


async def test_tls_with_a_server_without_tls_halts(tmp_path: Path) -> None:
    made = certificates.made(tmp_path)
    async with Frontend() as front, destination_of(front, **_ours(made)) as destination:
        with pytest.raises(Unavailable) as caught:
            await destination.send([event("e-1", "o-1")])
        assert caught.value.setting == "RELAY_TEMPORAL_TLS"


async def test_a_server_that_is_down_has_accepted_nothing() -> None:
    async with Frontend() as front, destination_of(front) as destination:
        await front.down()
        with pytest.raises(Unavailable, match="refuses connections") as caught:
            await destination.send([event("e-1", "o-1")])
        assert caught.value.not_accepted
        assert caught.value.setting is None
        await front.up()
        (outcome,) = await destination.send([event("e-1", "o-1")])
        assert isinstance(outcome, Delivered)


async def test_events_for_one_workflow_signal_it_and_the_first_starts_it() -> None:
    async with Frontend() as front, destination_of(front, **SIGNALS) as destination:
        events = [event("e-1", "o-1"), event("e-2", "o-1"), event("e-3", 7)]
        for one in events:
            (outcome,) = await destination.send([one])
            assert isinstance(outcome, Delivered)
            assert not outcome.duplicate
        assert list(front.starts.started) == ["o-1", "7"]
        assert front.signals == [
            ("o-1", events[0].wire),
            ("o-1", events[1].wire),
            ("7", events[2].wire),
        ]


async def test_a_signal_whose_answer_was_lost_arrives_twice_with_the_same_event_id() -> None:
    async with Frontend() as front, destination_of(front, **SIGNALS) as destination:
        front.faults.append(None)
        with pytest.raises(Unavailable) as caught:
            await destination.send([event("e-1", "o-1")])
        assert not caught.value.not_accepted
        await destination.send([event("e-1", "o-1")])
        assert list(front.starts.started) == ["o-1"]
        assert [json.loads(content)["id"] for _, content in front.signals] == ["e-1", "e-1"]


@pytest.mark.parametrize("order", [None, "", True, {"a": 1}, ["o-1"]])
async def test_an_event_that_names_no_workflow_is_rejected(order: Any) -> None:
    async with Frontend() as front, destination_of(front, **SIGNALS) as destination:
        (outcome,) = await destination.send([event("e-1", order)])
        assert isinstance(outcome, Reject)
        assert outcome.code == "no_workflow_id"
        assert front.signals == []
