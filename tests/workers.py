"""A pytest-xdist scheduler that runs the tests of a file, which share servers, on one worker."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # ships no types

WHOLE = ("tests/destinations/conformance/",)
"""Directories whose tests share one server, which takes longer to start than all of them."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # its base is untyped
    """Assigns whole files to workers, in order, so that no worker is idle at the end."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((directory for directory in WHOLE if file.startswith(directory)), file)
