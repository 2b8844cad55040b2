"""The current keys of a webhook source: given as text, or looked up in AWS and kept for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from relay.aws.secrets import PARAMETER
from relay.gateway.webhooks.sources import key_of

REFRESH_EVERY = 30.0
"""Seconds between two look-ups because of wrong signatures, which anybody can send."""


class SupportsValue(Protocol):
    """A secret that can be looked up: see `relay.aws.secrets.Secret`."""

    async def value(self, *, fresh: bool = False) -> str:
        """The secret's text. Raises `AwsError`."""
        ...


def is_reference(secret: str) -> bool:
    """Whether the text names a secret in AWS instead of being one."""
    return secret.startswith(("arn:", PARAMETER))


class SourceKeys:
    """The keys of one source.

    Args:
        secrets: each a secret's text, or its ARN or `ssm:` name.
        kind: how a secret's text becomes a key.
        secret: opens a reference.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        kind: Literal["text", "base64"],
        secret: Callable[[str], SupportsValue],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind: Literal["text", "base64"] = kind
        self._fixed = [key_of(text, kind) for text in secrets if not is_reference(text)]
        self._looked_up = [secret(text) for text in secrets if is_reference(text)]
        self._clock = clock
        self._refreshed_at = float("-inf")

    async def current(self) -> list[bytes]:
        """All keys.

        Raises:
            AwsError: a secret cannot be looked up.
            ValueError: a secret should be base64 and is not.
        """
        return await self._keys(fresh=False)

    async def refreshed(self) -> list[bytes] | None:
        """All keys, looked up anew; None if they cannot have changed or were just looked up.

        Raises:
            AwsError: a secret cannot be looked up.
            ValueError: a secret should be base64 and is not.
        """
        if not self._looked_up or self._clock() < self._refreshed_at + REFRESH_EVERY:
            return None
        self._refreshed_at = self._clock()
        return await self._keys(fresh=True)

    async def _keys(self, *, fresh: bool) -> list[bytes]:
        texts = [await secret.value(fresh=fresh) for secret in self._looked_up]
        return self._fixed + [key_of(text, self._kind) for text in texts]
