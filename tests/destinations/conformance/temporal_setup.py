"""Temporal: its real client with a gRPC server on its own protos that deduplicates ids."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from relay.local.orchestrators.temporal import Frontend
from tests.destinations.conformance.setups import Setup, opened

# By name, because a type checker may run where the extra is not installed.
grpc: Any = importlib.import_module("grpc")


@asynccontextmanager
async def temporal(**variables: str) -> AsyncIterator[Setup]:
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(Frontend())
        settings = {**front.settings, **variables}
        destination, traits = await opened(stack, "temporal", settings)

        async def started() -> int:
            return len(front.starts.started)

        exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
        denied = grpc.StatusCode.PERMISSION_DENIED
        yield Setup(
            destination=destination,
            traits=traits,
            started=started,
            throttle=lambda _after: front.faults.append(exhausted),
            deny=lambda: front.faults.extend([denied] * 50),
            lose_answer=lambda: front.faults.append(None),
            reports_wait=False,
        )
