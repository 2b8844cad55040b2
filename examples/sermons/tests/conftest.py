"""What the tests need from the machine."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session")
def programs() -> None:
    """Skip unless the programs are here that make and encode sound."""
    missing = [name for name in ("espeak-ng", "ffmpeg", "ffprobe") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: apt-get install espeak-ng ffmpeg")
