"""A secret of a destination: set outright, or looked up where the settings say it is kept."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TypeAlias

from relay.aws.errors import QueueError
from relay.aws.secrets import Secret
from relay.message import Unavailable
from relay.settings import Settings

Learn: TypeAlias = Callable[[str], None]
"""Hears each secret that was looked up, to keep it out of what is told."""


def unlearned(_secret: str) -> None:
    """Where nothing is told, nothing needs to be kept out of it."""


class KeptSecret:
    """The secret of a setting, or of the one named like it with `_secret` behind."""

    def __init__(self, settings: Settings, name: str, learn: Learn = unlearned) -> None:
        self._learn = learn
        given = getattr(settings, name)
        reference = getattr(settings, f"{name}_secret")
        self._variable = f"RELAY_{name.upper()}_SECRET"
        self._given = given.get_secret_value().strip() if given else ""
        self._secret = Secret(reference, max_age=settings.secret_max_age) if reference else None

    async def value(self) -> str:
        """The secret as it is now, empty where there is none.

        Raises:
            Unavailable: it cannot be looked up; nothing was sent.
        """
        return await self._look_up(fresh=False)

    async def refresh(self) -> None:
        """Look it up again, past the cache."""
        await self._look_up(fresh=True)

    async def bearer(self) -> str:
        """The value of an Authorization header with it, empty where there is none.

        Raises:
            Unavailable: as `value`.
        """
        return authorization(await self.value())

    async def _look_up(self, *, fresh: bool) -> str:
        if self._secret is None:
            return self._given
        try:
            found = await self._secret.value(fresh=fresh)
        except QueueError as error:
            raise Unavailable(
                f"a secret cannot be looked up: {error.sentence}",
                setting=None if error.transient else error.variable or self._variable,
                proven=True,
                untaken=True,
            ) from error
        for told in (found, authorization(found).partition(" ")[2], found.rpartition(":")[2]):
            self._learn(told)
        return found


def authorization(secret: str) -> str:
    """The header for what people have: `Bearer x` as it is, `user:password`, or a bare token."""
    if not secret or secret.lower().startswith(("bearer ", "basic ")):
        return secret
    if ":" in secret:
        return f"Basic {base64.b64encode(secret.encode()).decode()}"
    return f"Bearer {secret}"
