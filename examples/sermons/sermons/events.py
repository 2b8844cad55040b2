"""What the pipeline's events say: which upload of which sermon, under an id that never changes."""

from __future__ import annotations

import re
from typing import Any

import inngest

from sermons import tracing

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9]{1,64}")


def event(name: str, sermon: str, version: str, **data: Any) -> inngest.Event:
    """The event of this name. The same one again has the same id, so that it runs nothing."""
    data |= {"sermon": sermon, "version": version, **tracing.carried()}
    return inngest.Event(id=f"{sermon}/{version}/{name}", name=name, data=data)


def subject(received: inngest.Event) -> tuple[str, str]:
    """The sermon and the version that an event is about.

    Raises:
        inngest.NonRetriableError: it names none.
    """
    sermon, version = received.data.get("sermon"), received.data.get("version")
    if not names(sermon, version):
        raise inngest.NonRetriableError(f"the event {received.name} names no sermon and version")
    return str(sermon), str(version)


def names(sermon: object, version: object) -> bool:
    """Whether these are a sermon and a version. Both become parts of paths."""
    return (
        isinstance(sermon, str)
        and isinstance(version, str)
        and bool(_SLUG.fullmatch(sermon) and _VERSION.fullmatch(version))
    )
