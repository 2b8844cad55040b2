"""Relay: an SQS buffer and dead-letter relay in front of an event orchestrator.

The names below are the Python API: an SQS consumer for a handler of your own, and publishers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.aws.errors import AwsError as AwsError
    from relay.consumer import Connection as Connection
    from relay.consumer import Consumer as Consumer
    from relay.consumer import Handler as Handler
    from relay.consumer import connect as connect
    from relay.consumer import run as run
    from relay.model.message import Attribute as Attribute
    from relay.model.message import Message as Message
    from relay.model.outcome import Delivered as Delivered
    from relay.model.outcome import Outcome as Outcome
    from relay.model.outcome import Reject as Reject
    from relay.model.outcome import Retry as Retry
    from relay.publishing.client import Publisher as Publisher
    from relay.publishing.client import SyncPublisher as SyncPublisher
    from relay.publishing.client import publish as publish
    from relay.publishing.events import InvalidEvents as InvalidEvents
    from relay.publishing.publisher import NotPublished as NotPublished
    from relay.sources.poller import Limits as Limits
    from relay.sources.poller import PollerStatus as PollerStatus

_HOMES = {
    "Attribute": "relay.model.message",
    "AwsError": "relay.aws.errors",
    "Connection": "relay.consumer",
    "Consumer": "relay.consumer",
    "Delivered": "relay.model.outcome",
    "Handler": "relay.consumer",
    "InvalidEvents": "relay.publishing.events",
    "Limits": "relay.sources.poller",
    "Message": "relay.model.message",
    "NotPublished": "relay.publishing.publisher",
    "Outcome": "relay.model.outcome",
    "PollerStatus": "relay.sources.poller",
    "Publisher": "relay.publishing.client",
    "Reject": "relay.model.outcome",
    "Retry": "relay.model.outcome",
    "SyncPublisher": "relay.publishing.client",
    "connect": "relay.consumer",
    "publish": "relay.publishing.client",
    "run": "relay.consumer",
}

__all__ = [
    "Attribute",
    "AwsError",
    "Connection",
    "Consumer",
    "Delivered",
    "Handler",
    "InvalidEvents",
    "Limits",
    "Message",
    "NotPublished",
    "Outcome",
    "PollerStatus",
    "Publisher",
    "Reject",
    "Retry",
    "SyncPublisher",
    "connect",
    "publish",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: importing the package must not import AWS's client."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
