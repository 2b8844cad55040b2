"""Messages as received in push and pull mode, and samples of what producers and AWS send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from relay.model.message import Message

SAMPLES = Path(__file__).parent / "samples"
SENT_AT = 1_751_971_000.25


@pytest.fixture(scope="session")
def pulled() -> Callable[..., Message]:
    """A message as received from SQS with all attributes."""

    def make(body: bytes, **given: Any) -> Message:
        fields: dict[str, Any] = {
            "message_id": "d6790f8d-d575-4f01-bc51-40122704930b",
            "queue": "orders",
            "sent_at": SENT_AT,
            "sequence_number": "18849496460467696128",
            "trace_header": "Root=1-5759e988-bd862e3fe1be46a994272793",
            **given,
        }
        return Message(body=body, **fields)

    return make


@pytest.fixture(scope="session")
def pushed() -> Callable[[Message], Message]:
    """The same message as posted by sqsd: attributes are headers, and much is lost."""

    def make(message: Message) -> Message:
        headers = {
            name.lower(): replace(attribute, value=attribute.value.strip())
            for name, attribute in message.attributes.items()
            if isinstance(attribute.value, str)
        }
        return replace(
            message,
            attributes=headers,
            group_id=None,
            dedup_id=None,
            sequence_number=None,
            trace_header=None,
        )

    return make


@pytest.fixture(scope="session")
def sample() -> Callable[[str], bytes]:
    """The text of the sample with this name."""
    return lambda name: (SAMPLES / f"{name}.json").read_bytes()
