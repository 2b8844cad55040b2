"""Which release this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed distribution's version; `source` where only the code was unpacked."""
    try:
        return metadata.version("sqs-relay")
    except metadata.PackageNotFoundError:
        return "source"
