"""Files that only their owner can read: they hold what producers sent, and what servers answered.

Everything that the relay and its commands write is opened here: the log, snapshots, journals and
backups. A new file has mode 600. One that exists with a wider mode is narrowed to 600, and that is
reported on standard error; if it belongs to another user, it is used as it is and reported too.
Directories are made with mode 700. One that exists is left alone: others may need what else is in
it, and the files in it are private all the same.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from relay.output.terminal import echo

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create_private(path: Path) -> BinaryIO:
    """A new file, to read and to append to.

    Raises:
        FileExistsError: a file has this name.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
    return os.fdopen(os.open(path, flags, FILE_MODE), "w+b")


def append_private(path: Path) -> BinaryIO:
    """The file, made if there is none, to append to."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
    narrow(path, descriptor)
    return os.fdopen(descriptor, "ab")


def update_private(path: Path) -> BinaryIO:
    """The existing file, to read and to write."""
    descriptor = os.open(path, os.O_RDWR)
    narrow(path, descriptor)
    return os.fdopen(descriptor, "r+b")


def narrow(path: Path, descriptor: int | None = None) -> None:
    """Take the rights of others from a file that exists. Only a regular file has any to take."""
    file = path if descriptor is None else descriptor
    try:
        mode = os.stat(file).st_mode  # noqa: PTH116 - also of a descriptor
        if not stat.S_ISREG(mode) or not mode & _OTHERS:
            return
        os.chmod(file, FILE_MODE)  # noqa: PTH101 - the same
    except PermissionError:
        _report(f"others can read {path}, and its mode cannot be changed: its owner has to do it")
    except FileNotFoundError:
        return
    else:
        _report(f"the mode of {path} was {stat.S_IMODE(mode):o} and is now {FILE_MODE:o}")


def make_private_directory(path: Path) -> None:
    """Make the directory, and those that it is in, unless they exist."""
    for directory in (*reversed(path.parents), path):
        if not directory.is_dir():
            directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def _report(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error may be closed
        echo(f"relay: {sentence}", err=True)
