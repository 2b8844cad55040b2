"""Step Functions on a misconfigured host: it halts and names what to check."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest

from relay.local.orchestrators import Server
from relay.local.orchestrators.server import Answer, ApiRequest
from relay.model.destination import Unavailable
from relay.model.event import Event
from tests.destinations.conformance.setups import opened

ARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
EVENT = Event(id="e-1", name="order/placed", data=b"{}")
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


async def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Unavailable:
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**KEYS, **variables}.items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        opening = opened(stack, "step-functions", {"RELAY_STEP_FUNCTIONS_ARN": ARN})
        destination, _ = await opening
        with pytest.raises(Unavailable) as caught:
            await destination.send([EVENT])
    return caught.value


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_PROFILE", "nobody"),
        ("AWS_CA_BUNDLE", "/nonexistent"),
        ("AWS_ENDPOINT_URL_SFN", "localhost:4566"),
    ],
)
async def test_a_misconfigured_aws_environment_halts_and_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = await refusal(monkeypatch, **{variable: value})
    assert error.setting == variable
    assert (error.proven, error.not_accepted) == (True, True)


async def test_a_wrong_clock_halts(monkeypatch: pytest.MonkeyPatch) -> None:
    def skewed(_asked: ApiRequest) -> Answer:
        body = {
            "__type": "InvalidSignatureException",
            "message": "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z",
        }
        return Answer(status=400, body=json.dumps(body).encode())

    async with Server(skewed) as server:
        error = await refusal(monkeypatch, AWS_ENDPOINT_URL_SFN=server.url)
    assert "clock" in error.reason
    assert error.setting == "RELAY_STEP_FUNCTIONS_ARN"
    assert (error.proven, error.not_accepted) == (True, True)
