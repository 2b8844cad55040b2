"""Relay: an SQS buffer and dead-letter relay in front of an event orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.sources.poller import Poller as Poller

__all__ = ["Poller"]


def __getattr__(name: str) -> Any:
    """`Poller` on demand: importing the package must not import the AWS client."""
    if name == "Poller":
        from relay.sources.poller import Poller  # noqa: PLC0415 - the reason for this function

        return Poller
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
