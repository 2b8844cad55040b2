"""The entry point of `python -m relay` and of the console script `relay`.

The libraries are imported inside `main`, because that takes up to a second and Ctrl-C must work in
that time, too.
"""

from __future__ import annotations

import errno
import os
import sys

FAILED = 1
INTERRUPTED = 130

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line. An interruption or a full disk is reported without a traceback."""
    _open_streams()
    try:
        try:
            from relay.cli import main as command_line  # noqa: PLC0415 - see the module docstring

            command_line()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _exit("interrupted", INTERRUPTED)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        _exit(f"the output cannot be written: {error.strerror}", FAILED)


def _open_streams() -> None:
    """Open /dev/null for each standard stream that the shell closed.

    Python sets such a stream to None, which no library expects, and the next file or socket would
    get its descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


def _exit(sentence: str, code: int) -> None:
    """Print why and exit, discarding buffered output that cannot be written."""
    try:
        sys.stderr.write(f"relay: {sentence}\n")
        sys.stderr.flush()
    except OSError:
        pass  # standard error cannot be written either
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(null, number)
    sys.exit(code)


if __name__ == "__main__":
    main()
