"""One AWS session for all parts, opened when the first of them needs it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from relay.aws.session import Session, open_session


class SharedSession:
    """Opens the session at the first call, and again at the next one if that failed.

    So nothing that AWS lacks (a profile, a region) keeps the relay from starting and saying so.
    """

    def __init__(self, resources: AsyncExitStack) -> None:
        self._resources = resources
        self._opening = asyncio.Lock()
        self._session: Session | None = None

    async def __call__(self) -> Session:
        """The session.

        Raises:
            QueueError: it cannot be opened.
        """
        async with self._opening:
            if self._session is None:
                self._session = await self._resources.enter_async_context(open_session())
        return self._session
