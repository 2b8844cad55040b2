"""Which tests share a worker of pytest-xdist: those of a file, which share its servers."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # ships no types

WHOLE = ("tests/conformance/",)
"""Directories that one server serves, and its start costs more than all its tests."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # its base is untyped
    """Gives a worker one file after the other, in their order, so that none idles in the end."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((directory for directory in WHOLE if file.startswith(directory)), file)
