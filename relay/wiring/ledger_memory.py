"""The ledger as the tools for dead letters ask it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from relay.dlq.fate import Memory
from relay.settings import Settings


@contextlib.asynccontextmanager
async def ledger_memory(settings: Settings) -> AsyncIterator[Memory | None]:
    """What the ledger knows, None where the settings name none."""
    yield None
